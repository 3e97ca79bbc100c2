"""An attempt to submit a file, and the states it goes through. Imports no torch.

    prepared ──> handed over ──> confirmed      in Kaggle's list, found by the attempt's id
                      │ ├──────> refused        Kaggle or its command said for certain that it took nothing
                      │ └──────> unknown ─────> confirmed
                      └─────────────────> confirmed

prepared: stored, and the kaggle command has not been started.
handed over: the command was started, and how it ended is not stored, since this program was killed.
unknown: the command ended, or was ended, without a clear answer, and the list does not show the attempt.

A later look at the list may confirm an attempt that was handed over or is unknown. Nothing makes it refused later,
since the list may lag and the server may be slow. So a file may be sent

- if all its attempts are prepared or refused, or
- if the person says so (--again).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final, Literal, get_args

State = Literal["prepared", "handed over", "unknown", "refused", "confirmed"]
STATES: Final[tuple[State, ...]] = get_args(State)  # of two records of one attempt, the later state is the newer one
UNRESOLVED: Final = ("handed over", "unknown")
# What versions before the states above wrote.
EARLIER_STATES: Final[dict[str, State]] = {"sending": "handed over", "submitted": "confirmed", "not sent": "refused"}


@dataclass(frozen=True)
class Attempt:
    """One attempt to submit one file. Stored before anything is sent."""

    id: str  # unique to the attempt, and part of the submission's description
    file: str
    file_sha256: str
    started: str  # UTC, ISO 8601
    state: State = "prepared"
    account: str | None = None  # Kaggle's name of it; None where the kaggle command did not say it
    ref: str | None = None  # Kaggle's number of the submission
    status: str | None = None  # PENDING, COMPLETE or ERROR
    score: float | None = None  # public
    cv: float | None = None  # cross-validation accuracy of the run that wrote the file
    judge: float | None = None  # offline test accuracy of that run

    def may_belong_to(self, account: str | None) -> bool:
        """Whether it was made for `account`. An account without a name may be any."""
        return account is None or self.account in (None, account)


def parse(record: Mapping[str, Any]) -> Attempt:
    """The attempt of a record in a ledger, also in one of an earlier version. Raises TypeError or ValueError."""
    known = {entry.name for entry in fields(Attempt)}
    attempt = {key: value for key, value in record.items() if key in known}
    state = attempt.get("state", "handed over")
    attempt["state"] = EARLIER_STATES.get(state, state)
    if attempt["state"] not in STATES:
        raise ValueError(f"unknown state {state!r}")
    return Attempt(**attempt)


def newer(one: Attempt, other: Attempt) -> Attempt:
    """The newer of two records of the same attempt."""
    return max(one, other, key=lambda attempt: (STATES.index(attempt.state), attempt.score is not None))
