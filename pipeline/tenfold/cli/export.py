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
    from tenfold.models import export
    from tenfold.storage.run_folder import RunFolder

    folder = RunFolder(run)
    folder.settings()  # or say that this is no run
    export.export(folder, folder.metrics()["temperature"])
    export.sign(folder)
    print(f"written in {run}: {', '.join(export.MODELS)}")
