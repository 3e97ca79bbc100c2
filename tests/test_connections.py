"""The page's server and clients that are slow, silent or many, over real sockets."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from app_server import Page, start_app
from conftest import HANG_S

from tenfold_onnx import shipped_models
from tenfold_onnx.app.connections import MAX_CONNECTIONS

IMPATIENT = "from tenfold_onnx.app import connections, server; connections.REQUEST_S = server.BODY_S = 0.3"
POST = b"POST /api/read HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 900000\r\n\r\n"


def started(before: str, folder: Path) -> Iterator[Page]:
    process, port = start_app(shipped_models(), cwd=folder, before=before)
    yield Page(port, shipped_models())
    process.terminate()
    _, errors = process.communicate(timeout=HANG_S)
    assert "Traceback" not in errors, errors


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """A server with short time-outs."""
    yield from started(IMPATIENT, tmp_path_factory.mktemp("impatient"))


@pytest.fixture(scope="module")
def patient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """A server that closes no connection for its slowness."""
    before = f"from tenfold_onnx.app import connections; connections.REQUEST_S = {HANG_S}"
    yield from started(before, tmp_path_factory.mktemp("patient"))


def connect(page: Page) -> socket.socket:
    return socket.create_connection(("127.0.0.1", page.port), timeout=HANG_S)


def send_slowly(client: socket.socket) -> bytes:
    """Send a byte every twentieth of a second until the server has closed the connection; what it has answered."""
    answer, deadline = b"", time.monotonic() + HANG_S
    client.settimeout(0.05)
    while time.monotonic() < deadline:
        try:
            client.sendall(b"a")
            received = client.recv(10_000)
        except TimeoutError:
            continue
        except OSError:  # reset, or broken
            return answer
        if not received:
            return answer
        answer += received
    raise AssertionError("it hangs")


def is_open(client: socket.socket) -> bool:
    client.settimeout(0)
    try:
        return client.recv(1) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False


@pytest.mark.parametrize("begun", [b"", b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: "])
def test_headers_that_arrive_too_slowly_end_the_connection(impatient: Page, begun: bytes) -> None:
    with connect(impatient) as client:
        client.sendall(begun)
        assert send_slowly(client) == b""
    assert impatient.request("/api/models")[0] == 200


def test_a_body_that_arrives_too_slowly_is_refused_and_the_connection_ended(impatient: Page) -> None:
    with connect(impatient) as client:
        client.sendall(POST)
        answer = send_slowly(client)
    assert answer.startswith(b"HTTP/1.1 408 ") and b"request: must arrive within" in answer


def test_a_second_request_may_not_be_slower_than_the_first(impatient: Page) -> None:
    with connect(impatient) as client:
        client.sendall(b"HEAD / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\nGET /")
        assert send_slowly(client).startswith(b"HTTP/1.1 200 ")


def test_a_client_that_leaves_in_the_middle_is_no_error(impatient: Page) -> None:
    with connect(impatient) as client:
        client.sendall(POST + b"{")
    assert impatient.request("/api/models")[0] == 200  # and no traceback, see `started`


def test_many_connections_make_place_for_a_newer_one(patient: Page) -> None:
    with ExitStack() as stack:
        clients = [stack.enter_context(connect(patient)) for _ in range(3 * MAX_CONNECTIONS)]
        for client in clients:
            try:
                client.sendall(b"GET / HT")
            except OSError:  # it had to make place
                continue
        assert patient.request("/api/models")[0] == 200
        still_open = [is_open(client) for client in clients]
    assert sum(still_open) <= MAX_CONNECTIONS and not any(still_open[:MAX_CONNECTIONS]) and still_open[-1]
