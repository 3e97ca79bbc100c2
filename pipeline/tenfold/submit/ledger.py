"""The record of submission attempts, in a file beside the submission. Imports no torch."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Final, Literal

from filelock import FileLock, Timeout

from digit_recognizer import client
from digit_recognizer.client import Submission
from tenfold.errors import BadInput
from tenfold.storage import atomic

LEDGER: Final = "submissions.json"

State = Literal["sending", "submitted", "not sent", "unknown"]


@dataclass(frozen=True)
class Attempt:
    """One attempt to submit one file. Stored before anything is sent."""

    id: str  # unique to the attempt, and part of the submission's description
    file: str
    file_sha256: str
    started: str  # UTC, ISO 8601
    state: State = "sending"
    ref: str | None = None  # Kaggle's number of the submission
    status: str | None = None  # PENDING, COMPLETE or ERROR
    score: float | None = None  # public
    cv: float | None = None  # cross-validation accuracy of the run that wrote the file
    judge: float | None = None  # offline test accuracy of that run


@dataclass(frozen=True)
class Ledger:
    """The attempts made with the files of one folder, oldest first."""

    path: Path

    def attempts(self) -> list[Attempt]:
        """All attempts. Raises BadInput where the file is damaged."""
        try:
            table = json.loads(self.path.read_text("utf-8"))
            known = {entry.name for entry in fields(Attempt)}
            return [Attempt(**{key: value for key, value in row.items() if key in known}) for row in table]
        except FileNotFoundError:
            return []
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise BadInput(
                f"{self.path}: cannot be read ({error}), so nothing was sent; fix or remove it "
                "(`tenfold submissions` shows what Kaggle has)"
            ) from error

    def put(self, attempt: Attempt) -> None:
        """Store `attempt`, replacing an earlier record of it."""
        others = [entry for entry in self.attempts() if entry.id != attempt.id]
        table = [asdict(entry) for entry in (*others, attempt)]
        atomic.write(self.path, (json.dumps(table, indent=2) + "\n").encode())

    def update(self, attempt: Attempt, **changes: object) -> Attempt:
        """Store `attempt` with `changes`, and return it."""
        changed = replace(attempt, **changes)  # type: ignore[arg-type]
        self.put(changed)
        return changed

    def confirm(self, attempt: Attempt, submission: Submission) -> Attempt:
        """Store that `attempt` is the listed `submission`, and return it with number, status and score."""
        return self.update(
            attempt, state="submitted", ref=submission.ref, status=submission.status, score=submission.score
        )

    def synchronise(self, submissions: Sequence[Submission]) -> None:
        """Confirm every attempt that is among the `submissions` that Kaggle lists."""
        for attempt in self.attempts():
            submission = client.find(submissions, attempt.id)
            if submission:
                self.confirm(attempt, submission)


@contextmanager
def locked(folder: Path) -> Iterator[Ledger]:
    """The ledger of `folder`, with other processes kept from sending from there. Raises BadInput."""
    try:
        with FileLock(folder / f".{LEDGER}.lock", timeout=0):
            yield Ledger(folder / LEDGER)
    except Timeout as error:
        raise BadInput(f"{folder}: another `tenfold submit` is running there; wait for it") from error
