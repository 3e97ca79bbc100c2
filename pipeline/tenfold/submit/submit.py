"""From a finished file to a score on the leaderboard: checked, recorded before it is sent, never sent twice.

Imports no torch.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from digit_recognizer import client, competition, submission
from digit_recognizer.client import KaggleFailed, Limits, Submission
from tenfold.errors import BadInput
from tenfold.storage.run_folder import METRICS, SUBMISSION
from tenfold.submit import ledger
from tenfold.submit.ledger import Attempt, Ledger

NOTE_LENGTH: Final = 200  # characters of a description, before the attempt's id


@dataclass(frozen=True)
class Candidate:
    """A submission file, and what its run says of it."""

    file: Path
    sha256: str
    cv: tuple[float, float] | None  # mean and standard deviation over folds
    judge: float | None
    honest: bool

    def note(self) -> str:
        """What goes into the submission's description."""
        parts = [self.file.parent.resolve().name[:100]]
        if self.cv:
            parts.append(f"CV {self.cv[0]:.5f} ± {self.cv[1]:.5f}")
        if not self.honest:
            parts.append("LEAKED")
        return ", ".join(parts)[:NOTE_LENGTH]

    def lines(self) -> list[str]:
        """What a person should see before it is sent."""
        shown = [f"file: {self.file} ({competition.TEST_ROWS:,} rows)"]
        if self.cv:
            shown.append(f"cross-validation: {self.cv[0]:.5f} ± {self.cv[1]:.5f}")
        if self.judge is not None:
            shown.append(f"judge: {self.judge:.5f}")
        if not self.honest:
            shown.append("LEAKED: the run was allowed to train on test images, so its score means nothing")
        return shown


def checked(place: Path | None) -> Candidate:
    """The file to hand in: `place`, the one in the run's folder `place`, or that of the newest run under runs/.

    Raises BadInput or DamagedFile where there is none, or it is not one that the competition takes.
    """
    file = _newest() if place is None else place / SUBMISSION if place.is_dir() else place
    rows = len(submission.read(file))
    if rows != competition.TEST_ROWS:
        raise BadInput(
            f"{file}: has {rows:,} rows where the competition takes {competition.TEST_ROWS:,}; "
            "hand in a run on Kaggle's files (--source kaggle)"
        )
    metrics = _metrics(file.parent / METRICS) if file.name == SUBMISSION else {}
    mean, std = (_number(metrics, "cross_validation", key) for key in ("mean", "std"))
    return Candidate(
        file=file,
        sha256=client.fingerprint(file),
        cv=None if mean is None or std is None else (mean, std),
        judge=_number(metrics, "judge", "accuracy"),
        honest=metrics.get("honest", True) is True,
    )


def submit(handed: Candidate, again: bool, wait: bool, limits: Limits) -> None:
    """Send the file, unless it was sent already, and wait for its score. Says what happens as it happens.

    Raises BadInput, KaggleFailed, or KeyboardInterrupt, each with the truth about whether it was sent.
    """
    with ledger.held(handed.file.parent) as book:
        there = client.listed(limits.call_s)  # without it nobody knows what was sent already
        attempt = _sent_already(book, handed, there, again)
        if attempt is None:
            left = client.remaining_today(there, limits.call_s)
            for line in (*handed.lines(), f"submissions left today: {left}"):
                print(line, flush=True)
            if left < 1:
                raise KaggleFailed("limit", "not sent: no submission is left today; Kaggle counts anew at midnight UTC")
            attempt = _send(book, handed, limits)
        if wait:
            _wait(book, attempt, limits)


def settle(book: Ledger, there: Sequence[Submission]) -> None:
    """Bring the records up to what Kaggle lists."""
    for attempt in book.attempts():
        found = client.find(there, attempt.id)
        if found:
            _note(book, attempt, found)


def table(there: Sequence[Submission], runs: Path) -> list[str]:
    """The account's submissions, newest first, each beside its run's expectations; the runs' records are settled."""
    ours: dict[str, tuple[str, Attempt]] = {}
    for path in sorted(runs.glob(f"*/{ledger.LEDGER}")):
        book = Ledger(path)
        settle(book, there)
        ours |= {attempt.ref: (path.parent.name, attempt) for attempt in book.attempts() if attempt.ref}
    rows: list[tuple[str, ...]] = [("date", "submission", "run", "CV", "judge", "score", "status")]
    for entry in there:
        run, attempt = ours.get(entry.ref, ("-", None))
        expected = (attempt.cv, attempt.judge) if attempt else (None, None)
        numbers = ["-" if value is None else f"{value:.5f}" for value in (*expected, entry.score)]
        rows.append((entry.date[:16], entry.ref, run, *numbers, entry.status))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return lines if there else ["no submissions yet"]


def _sent_already(book: Ledger, handed: Candidate, there: Sequence[Submission], again: bool) -> Attempt | None:
    """The attempt to go on with, where one is on its way; None where the file is to be sent.

    Raises BadInput where the file was sent before and `again` does not ask for a second time.
    """
    open_ended = {attempt.id for attempt in book.attempts() if attempt.state != "not sent" and attempt.score is None}
    settle(book, there)
    ours = [attempt for attempt in book.attempts() if attempt.file_sha256 == handed.sha256]
    for attempt in ours:
        if attempt.state in ("sending", "unknown"):  # the list was just asked, and it is not there
            book.update(attempt, state="not sent")
    last = ours[-1] if ours else None
    if last and last.id in open_ended and last.state == "submitted" and not again:
        print(f"sent already as {last.ref}, on {last.started}; nothing is sent again")
        return last
    before = client.find(there, client.id_prefix(handed.sha256))
    if before and not again:
        score = "" if before.score is None else f", score {before.score:.5f}"
        raise BadInput(
            f"{handed.file}: was sent already (submission {before.ref} of {before.date}{score}); "
            "--again sends it once more"
        )
    return None


def _send(book: Ledger, handed: Candidate, limits: Limits) -> Attempt:
    attempt = Attempt(
        id=client.new_id(handed.sha256),
        file=handed.file.name,
        file_sha256=handed.sha256,
        started=datetime.now(UTC).isoformat(timespec="seconds"),
        cv=handed.cv[0] if handed.cv else None,
        judge=handed.judge,
    )
    book.put(attempt)
    print("sending", flush=True)
    try:
        sent = client.send(handed.file, attempt.id, handed.note(), limits)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(_UNKNOWN) from None
    if sent.outcome == "submitted" and sent.submission:
        attempt = _note(book, attempt, sent.submission)
        print(f"submitted: {attempt.ref}" + (f", although: {sent.said}" if sent.failed else ""), flush=True)
        if sent.interrupted:
            raise KeyboardInterrupt(f"stopped; it was submitted as {attempt.ref}")
        return attempt
    book.update(attempt, state=sent.outcome)
    if sent.interrupted:
        raise KeyboardInterrupt("stopped; it was not sent" if sent.outcome == "not sent" else _UNKNOWN)
    if sent.outcome == "unknown":
        raise KaggleFailed("unconfirmed", f"{_UNKNOWN} The kaggle command: {sent.said}")
    raise KaggleFailed(sent.kind, f"not sent: {client.reason(sent.kind, sent.said)}")


_UNKNOWN: Final = (
    "it may or may not have been sent: it does not stand in the list of submissions so far. "
    "The same command looks again before it sends anything."
)


def _wait(book: Ledger, attempt: Attempt, limits: Limits) -> None:
    """Wait for the score and tell it beside what was expected."""
    told: set[str] = set()

    def tell(line: str) -> None:
        if line not in told:  # once each
            told.add(line)
            print(line, flush=True)

    try:
        found = client.scored(attempt.id, limits, tell)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"stopped waiting; it was submitted as {attempt.ref}") from None
    if found is None:
        print(f"submitted as {attempt.ref}; no score within {limits.score_s:g} s, `tenfold submissions` shows it later")
        return
    attempt = _note(book, attempt, found)
    if found.status == "ERROR" or found.score is None:
        raise KaggleFailed("other", f"submitted as {attempt.ref}, but Kaggle gave it no score (status {found.status})")
    beside = [f"score: {found.score:.5f}"]
    beside += [f"cross-validation {attempt.cv:.5f}"] if attempt.cv is not None else []
    beside += [f"judge {attempt.judge:.5f}"] if attempt.judge is not None else []
    print(", ".join(beside))


def _note(book: Ledger, attempt: Attempt, found: Submission) -> Attempt:
    return book.update(attempt, state="submitted", ref=found.ref, status=found.status, score=found.score)


def _newest() -> Path:
    found = [path for path in Path("runs").glob(f"*/{SUBMISSION}") if (path.parent / METRICS).is_file()]
    kaggles = [path for path in found if _metrics(path.parent / METRICS).get("source") == "kaggle"]
    if not kaggles:
        raise BadInput("submit: no finished run on Kaggle's files lies under runs/; name a run's folder or a file")
    return max(kaggles, key=lambda path: path.stat().st_mtime)


def _metrics(path: Path) -> dict[str, Any]:
    try:
        table = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return table if isinstance(table, dict) else {}


def _number(metrics: dict[str, Any], part: str, key: str) -> float | None:
    """A number in a metrics.json, which somebody may have edited."""
    table = metrics.get(part)
    value = table.get(key) if isinstance(table, dict) else None
    return float(value) if isinstance(value, (int, float)) else None
