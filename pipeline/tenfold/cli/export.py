"""`tenfold export`: make a run's models again."""

from __future__ import annotations

from pathlib import Path


def export(run: Path, /) -> None:
    """Write classifier.onnx and generator.onnx of a finished run again; the same run gives the same bytes.

    Parameters
    ----------
    run
        The run's folder.
    """
    from tenfold.artefacts import CLASSIFIER_ONNX, GENERATOR_ONNX
    from tenfold.artefacts import export as write
    from tenfold.record import RunFolder

    write(RunFolder(run))
    print(f"{run / CLASSIFIER_ONNX} and {run / GENERATOR_ONNX} are written")
