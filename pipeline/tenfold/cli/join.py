"""`tenfold join`: collect the parts of one run."""

from __future__ import annotations

from pathlib import Path

from tenfold.cli.summary import command, show_next, show_summary
from tenfold.terminal import result


def join(part: Path, /, *parts: Path, out: Path) -> None:
    """Collect the parts of a run from several machines.

    `tenfold run --only` fits a part. The run is completed once nothing remains.

    Parameters
    ----------
    part
        The folder of a part.
    parts
        More parts, with the same settings and digits.
    out
        The run's folder; what it already holds of the same run stays.
    """
    from tenfold.orchestration.join import join as collect
    from tenfold.run import run as complete
    from tenfold.storage.run_folder import SETTINGS

    settings, remaining = collect([part, *parts], out)
    if remaining:
        result(f"joined in {out}; still to be fitted: {', '.join(remaining)}")
        line = command("run", "--config", out / SETTINGS, "--only", remaining[0])
        show_next([(f"{line} --out FOLDER", "fits a part; then join it")])
    elif metrics := complete(settings, out):
        show_summary(out, metrics)
