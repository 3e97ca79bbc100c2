"""The table of an account's submissions, beside the scores of the runs that wrote them. Imports no torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from digit_recognizer.client import Submission
from tenfold.submit.attempt import Attempt
from tenfold.submit.ledger import LEDGER, Ledger

COLUMNS: Final = ("date", "submission", "run", "CV", "offline", "score", "status")


def submission_rows(listed: Sequence[Submission], runs: Path) -> list[tuple[str, ...]]:
    """One row of COLUMNS per submission, newest first. Updates the records of the runs in `runs`."""
    sent: dict[str, tuple[str, Attempt]] = {}  # by Kaggle's number: the run's name, and its attempt
    for path in sorted(runs.glob(f"*/{LEDGER}")):
        ledger = Ledger(path)
        ledger.synchronise(listed)
        sent |= {attempt.ref: (path.parent.name, attempt) for attempt in ledger.attempts() if attempt.ref}
    rows: list[tuple[str, ...]] = []
    for submission in listed:
        run, attempt = sent.get(submission.ref, ("-", None))
        own_scores = (attempt.cv, attempt.judge) if attempt else (None, None)
        numbers = ["-" if value is None else f"{value:.5f}" for value in (*own_scores, submission.score)]
        rows.append((submission.date[:16], submission.ref, run, *numbers, submission.status))
    return rows
