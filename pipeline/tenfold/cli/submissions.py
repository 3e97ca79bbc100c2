"""`tenfold submissions`: the account's submissions beside the scores of our runs. Needs no torch."""

from __future__ import annotations

from pathlib import Path


def submissions(*, runs: Path = Path("runs"), limit_s: float = 60.0) -> None:
    """List the account's submissions, each with its score and its run's cross-validation and offline test score.

    Parameters
    ----------
    runs
        Folder of runs; their records of submissions are updated.
    limit_s
        Seconds that Kaggle may take to answer.
    """
    from digit_recognizer.client import list_submissions
    from tenfold.submit.table import submission_table

    for line in submission_table(list_submissions(limit_s), runs):
        print(line)
