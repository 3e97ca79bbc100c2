"""`tenfold export`: make a run's models again."""

from __future__ import annotations

from pathlib import Path


def export(run: Path, /) -> None:
    """Write the ONNX models of a finished run again; the same run gives the same bytes.

    Parameters
    ----------
    run
        The run's folder.
    """
    from tenfold.artefacts import MODELS
    from tenfold.artefacts import export as write
    from tenfold.record import RunFolder

    write(RunFolder(run))
    print(f"written in {run}: {', '.join(MODELS)}")
