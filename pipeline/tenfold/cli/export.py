"""`tenfold export`: write a run's models again."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

from tenfold.errors import BadInput
from tenfold.terminal import result


def export(run: Path, /, *, out: Path | None = None, half: bool = False) -> None:
    """Write a finished run's ONNX models again.

    The same run gives the same bytes.

    Parameters
    ----------
    run
        The run's folder.
    out
        Folder to write to; the run's own by default.
    half
        Store weights as float16: half the size, the same inputs and outputs. Needs --out.
    """
    target = out or run
    if half and target.resolve() == run.resolve():
        raise BadInput("half: would replace the run's own models, which made its predictions; give another --out")
    from tenfold.data.overlap import DataRecord
    from tenfold.evaluation.metrics import load_run_metrics
    from tenfold.evaluation.model_card import model_cards
    from tenfold.models.export import MODELS, export_models, write_models
    from tenfold.models.weights import TrainedNets
    from tenfold.storage import run_contents
    from tenfold.storage.completion import finish, require_finished
    from tenfold.storage.lock import locked
    from tenfold.storage.run_folder import ENVIRONMENT, RunFolder
    from tenfold_onnx.write.half import with_half_weights

    own = target.resolve() == run.resolve()
    if run_contents.is_marked(target) and not own:
        raise BadInput(f"{target}: is another run's folder, whose models would be replaced; give another --out")
    done = require_finished(run, unused=MODELS)
    folder = RunFolder(run)
    settings, metrics = folder.settings(), load_run_metrics(folder)
    cards = model_cards(settings, metrics, DataRecord.load(folder), folder.read_json(ENVIRONMENT))
    models = export_models(TrainedNets.load(folder, settings), metrics.temperature)
    if half:
        models = {name: with_half_weights(model) for name, model in models.items()}
    with locked(target) if own else nullcontext():
        write_models(target, models, cards)
        if own:  # another release writes other cards, so other hashes
            finish(run, tuple(done["files"]), {})
    result(f"written to {target}: {', '.join(models)}")
