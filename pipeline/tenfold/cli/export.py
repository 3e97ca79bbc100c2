"""`tenfold export`: write a run's models again, as they are or in other forms."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tenfold.errors import BadInput
from tenfold.terminal import result

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from tenfold.storage.run_folder import RunFolder

CALIBRATION_ROWS: Final = 500  # training digits that set the ranges of int8's activations
MAX_BATCH: Final = 1024  # comparing a canvas classifier of that size takes 3 GB


def export(
    run: Path, /, *, out: Path | None = None, batch: int | None = None, half: bool = False, int8: bool = False
) -> None:
    """Write a finished run's ONNX models again.

    The same run gives the same bytes. --batch, --half and --int8 write other forms of them, for which --out is needed.
    Each form is compared with the model that it is made from; the result is printed, and on its card.

    Parameters
    ----------
    run
        The run's folder.
    out
        Folder to write to; the run's own by default.
    batch
        Fix all sizes, for compilers and devices that need it: this many rows, drawings of 280×280 pixels.
    half
        Store weights as float16: half the size, the same inputs and outputs.
    int8
        Quantize the three classifiers: about a third of the size, the same inputs and outputs. Needs the run's digits.
    """
    target = out or run
    own = target.resolve() == run.resolve()
    if half and int8:
        raise BadInput("half, int8: weights are one or the other; give one of the two")
    if batch is not None and not 1 <= batch <= MAX_BATCH:
        raise BadInput(f"batch: must be an integer from 1 to {MAX_BATCH}, got {batch}")
    options = [name for name, given in (("batch", batch), ("half", half), ("int8", int8)) if given]
    if own and options:
        reason = "would replace the run's own models, which made its predictions"
        raise BadInput(f"{options[0]}: {reason}; give another --out")
    from tenfold.data.overlap import DataRecord
    from tenfold.evaluation.metrics import load_run_metrics
    from tenfold.evaluation.model_card import model_cards
    from tenfold.models.export import MODELS, export_models, write_models
    from tenfold.models.variants import AS_TRAINED, Variant, in_variant
    from tenfold.models.weights import TrainedNets
    from tenfold.sources import sample
    from tenfold.storage import run_contents
    from tenfold.storage.completion import finish, require_finished
    from tenfold.storage.lock import locked
    from tenfold.storage.run_folder import ENVIRONMENT, RunFolder

    if run_contents.is_marked(target) and not own:
        raise BadInput(f"{target}: is another run's folder, whose models would be replaced; give another --out")
    done = require_finished(run, unused=MODELS)
    folder = RunFolder(run)
    settings, metrics = folder.settings(), load_run_metrics(folder)
    calibration = _calibration_images(folder) if int8 else None  # before what takes long
    cards = model_cards(settings, metrics, DataRecord.load(folder), folder.read_json(ENVIRONMENT))
    models = export_models(TrainedNets.load(folder, settings), metrics.temperature)
    variant = Variant("float16" if half else "int8" if int8 else "float32", batch)
    if variant != AS_TRAINED:
        _, digits = sample.load()
        models, differences = in_variant(variant, models, digits.images, calibration)
        for name, difference in differences.items():
            result(f"{variant.file_name(name)}: {difference}")
            parity = f"{difference}, compared with the run's model on the sample's {len(digits):,} test digits"
            cards[name] = cards[name] | variant.card(name) | {"parity": parity}
    with locked(target) if own else nullcontext():
        write_models(target, models, cards, variant)
        if own:  # another release writes other cards, so other hashes
            finish(run, tuple(done["files"]), {})
    result(f"written to {target}: {', '.join(map(variant.file_name, models))}")


def _calibration_images(run: RunFolder) -> npt.NDArray[np.uint8]:
    """Some of the images that the run trained on, uint8 (N, 28, 28). Raises BadInput where they are gone."""
    import numpy as np

    from tenfold.data.overlap import DataRecord
    from tenfold.orchestration.warm_start import load_parent
    from tenfold.run import load_digits

    settings = run.settings()
    digits, _, record, _ = load_digits(settings, load_parent(settings))
    if record.train_sha256 != DataRecord.load(run).train_sha256:
        raise BadInput(f"int8: {settings.data.data} holds other digits than {run.path} was trained on; put those back")
    rows = np.linspace(0, len(digits) - 1, min(CALIBRATION_ROWS, len(digits))).astype(int)
    return digits.images[rows]
