"""`tenfold join`: collect the parts of one run."""

from __future__ import annotations

from pathlib import Path


def join(part: Path, /, *parts: Path, out: Path) -> None:
    """Collect what `tenfold run --only` has fitted on several machines, and complete the run if nothing remains.

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

    settings, remaining = collect([part, *parts], out)
    if remaining:
        print(f"joined in {out}; still to be fitted: {', '.join(remaining)}")
        print(
            f"fit each with `tenfold run --config {out}/settings.toml --only {remaining[0]} --out FOLDER`, then join it"
        )
    else:
        complete(settings, out)
