"""The record of submission attempts: in a file beside the submission, and by content in the user's cache folder.

The file beside the submission stays with the run, and goes where its folder goes. The one in the cache folder makes
copies of the file in several folders one file, since Kaggle counts them as what they are. Imports no torch.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

from digit_recognizer import client
from digit_recognizer.client import Submission
from tenfold.errors import BadInput
from tenfold.storage import atomic, cache
from tenfold.submit.attempt import Attempt, newer, parse
from tenfold.submit.candidate import Candidate

LEDGER: Final = "submissions.json"


@dataclass(frozen=True)
class Ledger:
    """The attempts made with the files of one folder and, where given, with one content from any folder."""

    path: Path
    by_content: Path | None = None

    def attempts(self) -> list[Attempt]:
        """All attempts, oldest first. Raises BadInput where a file is damaged."""
        attempts: dict[str, Attempt] = {}
        for path in self._paths():
            for attempt in _read(path):
                attempts[attempt.id] = newer(attempt, attempts.get(attempt.id, attempt))
        return sorted(attempts.values(), key=lambda attempt: attempt.started)

    def add(self, attempt: Attempt) -> None:
        """Store a new attempt."""
        for path in self._paths():
            with _writing(path):
                _write(path, [*_read(path), attempt])

    def update(self, attempt: Attempt, **changes: object) -> Attempt:
        """Store `attempt` with `changes` wherever it is stored, and return it."""
        changed = replace(attempt, **changes)  # type: ignore[arg-type]
        for path in self._paths():
            if all(entry == changed for entry in _read(path) if entry.id == attempt.id):
                continue  # it is up to date, or another folder's
            with _writing(path):
                _write(path, [changed if entry.id == attempt.id else entry for entry in _read(path)])
        return changed

    def confirm(self, attempt: Attempt, submission: Submission) -> Attempt:
        """Store that `attempt` is the listed `submission`, and return it with number, status and score."""
        return self.update(
            attempt, state="confirmed", ref=submission.ref, status=submission.status, score=submission.score
        )

    def synchronise(self, submissions: Sequence[Submission]) -> None:
        """Confirm every attempt that is among the `submissions` that Kaggle lists."""
        for attempt in self.attempts():
            submission = client.find(submissions, attempt.id)
            if submission:
                self.confirm(attempt, submission)

    def _paths(self) -> list[Path]:
        return [self.path, *([self.by_content] if self.by_content else [])]


@contextmanager
def locked(candidate: Candidate) -> Iterator[Ledger]:
    """The ledger for `candidate`, with other processes kept from sending the same content, from whichever folder.

    The lock is on the content alone. An account without a name may be any account, so its name is no part of the key;
    the attempts have it. Raises BadInput.
    """
    folder = cache.folder() / "submissions"
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / f"{candidate.sha256}.lock", timeout=0):
            yield Ledger(candidate.file.parent / LEDGER, folder / f"{candidate.sha256}.json")
    except Timeout as error:
        raise BadInput(
            f"{candidate.file}: another `tenfold submit` is sending the same content; wait for it"
        ) from error


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Inside `with`: no other process changes the file, as a submission of another file of its folder would."""
    with FileLock(path.with_name(f".{path.name}.lock")):
        yield


def _read(path: Path) -> list[Attempt]:
    try:
        return [parse(record) for record in json.loads(path.read_text("utf-8"))]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise BadInput(
            f"{path}: cannot be read ({error}), so nothing was sent; fix or remove it "
            "(`tenfold submissions` shows what Kaggle has)"
        ) from error


def _write(path: Path, attempts: Sequence[Attempt]) -> None:
    atomic.write(path, (json.dumps([asdict(entry) for entry in attempts], indent=2) + "\n").encode())
