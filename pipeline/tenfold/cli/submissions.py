"""`tenfold submissions`: what the account has handed in, beside what our runs expected. Needs no torch."""

from __future__ import annotations

from pathlib import Path


def submissions(*, runs: Path = Path("runs"), limit_s: float = 60.0) -> None:
    """List the account's submissions with their scores, beside cross-validation and judge of the runs they came from.

    Parameters
    ----------
    runs
        Folder of runs, whose records are brought up to date.
    limit_s
        Seconds that Kaggle may take to answer.
    """
    from digit_recognizer import client
    from tenfold.submit.submit import table

    for line in table(client.listed(limit_s), runs):
        print(line)
