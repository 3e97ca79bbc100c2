"""`tenfold report`: a run as a page."""

from __future__ import annotations

import webbrowser
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from tenfold.terminal import result


def report(run: Path, /, *, open_it: Annotated[bool, Parameter(name="--open")] = False) -> None:
    """Write a finished run's report.html again.

    It is one file, which opens from disk and loads nothing from any host.

    Parameters
    ----------
    run
        The run's folder.
    open_it
        Open it in the browser.
    """
    from tenfold.report.page import FinishedRun, write_report
    from tenfold.storage.run_folder import REPORT, RunFolder

    write_report(FinishedRun.load(RunFolder(run)))
    result(f"written: {run / REPORT}")
    if open_it:
        webbrowser.open((run / REPORT).resolve().as_uri())
