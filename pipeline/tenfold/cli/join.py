"""`tenfold join`: the parts of one run."""

from __future__ import annotations

from pathlib import Path


def join(part: Path, /, *parts: Path, out: Path) -> None:
    """Bring together what `tenfold run --only` has fitted on several machines, and end the run where nothing is left.

    Parameters
    ----------
    part
        The folder of a run of a part.
    parts
        Further ones, with the same settings and digits.
    out
        The run's folder; what it holds of the same run stays.
    """
    from tenfold.orchestration.join import join as bring_together
    from tenfold.run import run as carry_out

    settings, left = bring_together([part, *parts], out)
    if left:
        print(f"joined in {out}; left to fit: {', '.join(left)}")
        print(f"each by `tenfold run --config {out}/settings.toml --only {left[0]} --out FOLDER`, then join that too")
    else:
        carry_out(settings, out)
