"""`tenfold report`: a run as a page to look at."""

from __future__ import annotations

import webbrowser
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def report(run: Path, /, *, open_it: Annotated[bool, Parameter(name="--open")] = False) -> None:
    """Write a finished run's report.html again: one file, which opens from disk and asks nothing of any host.

    Parameters
    ----------
    run
        The run's folder.
    open_it
        Open it in the browser.
    """
    from tenfold.report.page import render
    from tenfold.storage import atomic
    from tenfold.storage.run_folder import REPORT, RunFolder

    path = run / REPORT
    atomic.write(path, render(RunFolder(run)).encode())
    print(f"written: {path}")
    if open_it:
        webbrowser.open(path.resolve().as_uri())
