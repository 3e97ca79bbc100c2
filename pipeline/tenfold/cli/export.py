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
    from tenfold import artefacts
    from tenfold.errors import BadInput
    from tenfold.folder import METRICS, RunFolder

    folder = RunFolder(run)
    folder.settings()  # or say that this is no run
    metrics = folder.read_json(METRICS)
    if "temperature" not in metrics:
        raise BadInput(f"{run}: its release did not calibrate yet; run it anew with `tenfold run --fresh`")
    artefacts.export(folder, metrics["temperature"])
    artefacts.sign(folder)
    print(f"written in {run}: {', '.join(artefacts.MODELS)}")
