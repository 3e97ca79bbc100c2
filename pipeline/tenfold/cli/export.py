"""`tenfold export`: write a run's models again."""

from __future__ import annotations

from pathlib import Path

from tenfold.terminal import result


def export(run: Path, /) -> None:
    """Write a finished run's ONNX models again.

    The same run gives the same bytes.

    Parameters
    ----------
    run
        The run's folder.
    """
    from tenfold.data.overlap import DataRecord
    from tenfold.evaluation.metrics import load_run_metrics
    from tenfold.evaluation.model_card import model_cards
    from tenfold.models.export import export_models, write_models
    from tenfold.models.weights import TrainedNets
    from tenfold.storage.run_folder import ENVIRONMENT, RunFolder

    folder = RunFolder(run)
    settings, metrics = folder.settings(), load_run_metrics(folder)
    cards = model_cards(settings, metrics, DataRecord.load(folder), folder.read_json(ENVIRONMENT))
    models = export_models(TrainedNets.load(folder, settings), metrics.temperature)
    write_models(run, models, cards)
    result(f"written to {run}: {', '.join(models)}")
