"""What a run ships: its models as ONNX files, with a card inside."""

from __future__ import annotations

import json
from importlib.metadata import version
from itertools import product
from typing import Any, Final

from torch import nn

from tenfold.models.weights import CLASSIFIER, GENERATOR, load_classifier, load_generator
from tenfold.settings import Net
from tenfold.storage import atomic
from tenfold.storage.run_folder import DATA, ENVIRONMENT, METRICS, RunFolder
from tenfold_onnx.contract import CANVAS_ONNX, CLASSIFIER_ONNX, EXPLAIN_ONNX, GENERATOR_ONNX, LIGHT_ONNX
from tenfold_onnx.write.export import (
    export_canvas,
    export_classifier,
    export_explained,
    export_generator,
    with_card,
)

IMAGES: Final = "images: uint8 (N, 28, 28), 0 = background, digit light on dark"
ANSWERS: Final = "probabilities: float32 (N, 10), calibrated; label: int64 (N,)"
# Each model's inputs and outputs in words.
MODELS: Final = {
    CLASSIFIER_ONNX: (IMAGES, ANSWERS),
    LIGHT_ONNX: (IMAGES, ANSWERS),
    CANVAS_ONNX: (
        "drawings: uint8 (N, H, W), any size, dark on light or light on dark, one digit each",
        f"{ANSWERS}, -1 where there is no digit; seen: uint8 (N, 28, 28); ink: float32 (N,), share of the drawing",
    ),
    EXPLAIN_ONNX: (IMAGES, f"{ANSWERS}; activation_1 and so on: float32 (N, channels, side, side)"),
    GENERATOR_ONNX: ("z: float32 (N, Z), standard normal; labels: int64 (N,) in 0..9", "images: uint8 (N, 28, 28)"),
}
MNIST_LICENCE: Final = "MNIST by Y. LeCun, C. Cortes and C. Burges, CC BY-SA 3.0; Kaggle's files hold its images"
DATA_LICENCE: Final = {
    "kaggle": MNIST_LICENCE,
    "mnist": MNIST_LICENCE,
    "sample": "Optical Recognition of Handwritten Digits by E. Alpaydin and C. Kaynak (UCI), CC BY 4.0",
}


def export(run: RunFolder, temperature: float) -> None:
    """Write the models of a run whose nets are done, each only after parity with torch; cards come later.

    `temperature` calibrates the classifiers. Raises BadInput where the run is not that far, ParityError where
    torch and onnxruntime disagree.
    """
    settings = run.settings()
    light = load_classifier(run.light / CLASSIFIER, Net(settings.light.channels, tta_shift_px=0))
    generator = load_generator(run.generator / GENERATOR, settings.cgan)
    models = {
        CLASSIFIER_ONNX: export_classifier(members(run), temperature),
        LIGHT_ONNX: export_classifier([light], temperature),
        CANVAS_ONNX: export_canvas(light, temperature),
        EXPLAIN_ONNX: export_explained(light, temperature),
        GENERATOR_ONNX: export_generator(generator, settings.cgan.z_dim),
    }
    for name, model in models.items():
        atomic.write(run.path / name, model)


def export_generator_alone(run: RunFolder) -> None:
    """Write the generator of a run that has no more yet, with its card, after parity with torch."""
    cgan = run.settings().cgan
    model = export_generator(load_generator(run.generator / GENERATOR, cgan), cgan.z_dim)
    inputs, outputs = MODELS[GENERATOR_ONNX]
    atomic.write(run.path / GENERATOR_ONNX, with_card(model, _common(run) | {"inputs": inputs, "outputs": outputs}))


def sign(run: RunFolder) -> None:
    """Put into every model its card: what it takes and gives, what it scores, what it was made from.

    The same run gives the same bytes. Raises BadInput where a run's record is missing or damaged.
    """
    settings, metrics, common = run.settings(), run.read_json(METRICS), _common(run)
    ensemble = {
        "members": str(settings.folds * settings.nets),
        "cv": _score(metrics["cross_validation"], ("mean", "std", "errors", "rows")),
        "judge": _score(metrics["judge"], ("accuracy", "errors", "rows")),
        "temperature": f"{metrics['temperature']:.6f}",
    }
    light = ensemble | {
        "members": "1",
        "cv": "none: this net was fitted on all training digits",
        "judge": _score(metrics["judge_light"], ("accuracy", "errors", "rows")),
    }
    for name, (inputs, outputs) in MODELS.items():
        own = {CLASSIFIER_ONNX: ensemble, GENERATOR_ONNX: {}}.get(name, light)
        path = run.path / name
        atomic.write(path, with_card(path.read_bytes(), common | own | {"inputs": inputs, "outputs": outputs}))


def members(run: RunFolder) -> list[nn.Module]:
    """The ensemble's nets, as they answer. Raises BadInput where one is missing or damaged."""
    settings = run.settings()
    places = product(range(settings.folds), range(settings.nets))
    return [load_classifier(run.net(fold, net) / CLASSIFIER, settings.net) for fold, net in places]


def _common(run: RunFolder) -> dict[str, str]:
    """What the cards of all of a run's models say."""
    source, data = run.settings().data.source, run.read_json(DATA)
    return {
        "release": version("tenfold"),
        "git_commit": run.read_json(ENVIRONMENT)["git_commit"] or "none: made by an installed release",
        "honest": "yes" if data["overlap"]["honest"] else "NO: LEAKED, trained on test images with their labels",
        "source": source,
        "train_sha256": data["train_sha256"],
        "test_sha256": data["test_sha256"],
        "licence": "MIT",
        "data_licence": DATA_LICENCE[source],
    }


def _score(found: dict[str, Any] | None, names: tuple[str, ...]) -> str:
    if found is None:
        return "none: no labels were at hand"
    return json.dumps({name: round(found[name], 6) for name in names})
