"""Connections to the page's server: clients that are slow, or many, cannot keep others out."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from uvicorn.protocols.http.h11_impl import H11Protocol

MAX_CONNECTIONS: Final = 100  # a browser opens six
REQUEST_S: Final = 10.0  # for a request's headers to arrive; `server.BODY_S` is for its body
ANSWER_S: Final = 300.0  # from then on, for the answer to be computed and taken


class LimitedConnection(H11Protocol):
    """A connection that ends when its client takes too long, or when a newer one needs its place.

    Only connections that wait for a request make place, the one that has waited longest first.
    """

    _waiting_since: float | None = None  # None while a request is being answered
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Begin to wait, and end the connection that has waited longest where there are too many."""
        super().connection_made(transport)
        self._wait_for_request()
        if len(self.connections) > MAX_CONNECTIONS:
            waiting = [(other._waiting_since, id(other), other) for other in self._others() if other._waiting_since]
            (min(waiting)[2] if waiting else self)._end()

    def data_received(self, data: bytes) -> None:
        """Stop waiting once a request's headers are there."""
        super().data_received(data)
        if self._waiting_since is not None and self._is_answering():
            self._waiting_since = None
            self._end_after(ANSWER_S)

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        super().on_response_complete()
        if not self._is_answering():  # else the next request has arrived already
            self._wait_for_request()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the deadline."""
        super().connection_lost(exc)
        if self._deadline is not None:
            self._deadline.cancel()

    def _others(self) -> list[LimitedConnection]:
        return [other for other in self.connections if isinstance(other, LimitedConnection) and other is not self]

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _wait_for_request(self) -> None:
        self._waiting_since = self.loop.time()
        self._end_after(REQUEST_S)

    def _end_after(self, seconds: float) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = self.loop.call_later(seconds, self._end)

    def _end(self) -> None:
        self._waiting_since = None
        self.transport.abort()  # at once: `close` would wait for a client that does not read
