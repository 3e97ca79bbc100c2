"""`tenfold compare`: show runs side by side."""

from __future__ import annotations

from pathlib import Path

from tenfold.cli.table import show_table


def compare(run: Path, /, *runs: Path) -> None:
    """Print runs side by side: scores, paired differences, settings.

    Differences are from the first run, with standard errors.

    Parameters
    ----------
    run
        The folder of a finished run or of a blend, which the others are compared with.
    runs
        More of them; on the same digits they are compared row by row.
    """
    from tenfold.report.compare import compare as side_by_side

    show_table(*side_by_side([run, *runs]))
