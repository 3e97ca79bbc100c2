"""`tenfold submit`: hand a submission in and wait for its score. Needs the kaggle extra, no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from digit_recognizer.client import Limits


def submit(
    place: Path | None = None,
    /,
    *,
    again: bool = False,
    no_wait: bool = False,
    limits: Annotated[Limits | None, Parameter(name="*")] = None,
) -> None:
    """Upload a submission with the kaggle command, make sure that it arrived, and wait for its score.

    Exit codes: 0 submitted and seen in the list, 1 not sent, 2 bad input, 3 sent or not, nobody can say yet,
    4 credentials missing or refused, 5 rules not accepted, 6 no submission left today, 130 interrupted.

    Parameters
    ----------
    place
        A run's folder or a submission.csv; the newest run on Kaggle's files under runs/ unless given.
    again
        Send a file that was sent before once more.
    no_wait
        Don't wait for the score.
    """
    from tenfold.submit.submit import checked
    from tenfold.submit.submit import submit as carry_out

    carry_out(checked(place), again, not no_wait, limits or Limits())
