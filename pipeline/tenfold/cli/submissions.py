"""`tenfold submissions`: the account's submissions beside the scores of our runs. Needs no torch."""

from __future__ import annotations

from pathlib import Path

from tenfold.cli.table import show_table
from tenfold.terminal import result


def submissions(*, runs: Path = Path("runs"), limit_s: float = 60.0) -> None:
    """List your submissions with their scores.

    Beside Kaggle's score are the cross-validation and the offline test score of the run that wrote it.

    Parameters
    ----------
    runs
        Folder of runs; their records of submissions are updated.
    limit_s
        Seconds that Kaggle may take to answer.
    """
    from digit_recognizer.client import list_submissions
    from tenfold.submit.table import COLUMNS, submission_rows

    listed = list_submissions(limit_s)
    if listed:
        show_table(COLUMNS, submission_rows(listed, runs))
    else:
        result("no submissions yet")
