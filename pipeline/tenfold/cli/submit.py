"""`tenfold submit`: submit a file and wait for its score. Needs the kaggle extra, no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from digit_recognizer.limits import Limits


def submit(
    path: Path | None = None,
    /,
    *,
    again: bool = False,
    no_wait: bool = False,
    limits: Annotated[Limits | None, Parameter(name="*")] = None,
) -> None:
    """Upload a submission, and wait for its score.

    It uses the kaggle command, and checks that the submission arrived.

    Exit codes: 0 submitted and seen in the list, 1 not sent, 2 bad input or sent before, 3 unknown whether it was
    sent, 4 credentials missing or refused, 5 rules not accepted, 6 no submission left today, 130 interrupted.

    Parameters
    ----------
    path
        A run's folder or a submission.csv; by default the newest run on Kaggle's files under runs/.
    again
        Send the file even if it was sent before, or may have been.
    no_wait
        Do not wait for the score.
    """
    from tenfold.submit.candidate import find_candidate
    from tenfold.submit.submit import submit as send

    send(find_candidate(path), again, not no_wait, limits or Limits())
