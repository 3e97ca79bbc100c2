"""A run's models as ONNX files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tenfold.models.variants import AS_TRAINED, Variant
from tenfold.models.weights import TrainedNets
from tenfold.storage import atomic
from tenfold_onnx.contract import CANVAS_ONNX, CLASSIFIER_ONNX, EXPLAIN_ONNX, GENERATOR_ONNX, LIGHT_ONNX, Verdict
from tenfold_onnx.write.export import (
    export_canvas,
    export_classifier,
    export_explained,
    export_generator,
    export_light,
    with_card,
)

IMAGES: Final = "images: uint8 (N, 28, 28), 0 = background, digit light on dark"
ANSWERS: Final = "probabilities: float32 (N, 10), calibrated; label: int64 (N,)"
VERDICTS: Final = ", ".join(f"{verdict.value} {verdict.name.lower()}" for verdict in Verdict)
# Each model's inputs and outputs in words.
MODELS: Final = {
    CLASSIFIER_ONNX: (IMAGES, ANSWERS),
    LIGHT_ONNX: (IMAGES, ANSWERS),
    CANVAS_ONNX: (
        "drawings: uint8 (N, H, W), any size, dark on light or light on dark, one digit each",
        f"{ANSWERS}, -1 where there is no single digit; seen: uint8 (N, 28, 28); ink: float32 (N,), share of the "
        f"drawing; verdict: int32 (N,), {VERDICTS}; parts: int32 (N,), things side by side; boxes: int32 (N, 16, 4), "
        "their left, top, right, bottom in pixels",
    ),
    EXPLAIN_ONNX: (IMAGES, f"{ANSWERS}; activation_1 and so on: float32 (N, channels, side, side)"),
    GENERATOR_ONNX: (
        "z: float32 (N, Z), standard normal; labels: int64 (N,) in 0..9, or start + 10 end + 100 share (1 to 999) "
        "between two digits",
        "images: uint8 (N, 28, 28)",
    ),
}


def export_models(nets: TrainedNets, temperature: float) -> dict[str, bytes]:
    """The models of a run by file name, each checked against torch; `temperature` calibrates the classifiers.

    Raises ParityError where torch and onnxruntime disagree.
    """
    return {
        CLASSIFIER_ONNX: export_classifier(nets.ensemble, temperature),
        LIGHT_ONNX: export_light(nets.light, temperature, nets.doubt),
        CANVAS_ONNX: export_canvas(nets.light, temperature, nets.doubt),
        EXPLAIN_ONNX: export_explained(nets.light, temperature, nets.doubt),
        GENERATOR_ONNX: export_generator(nets.generator, nets.z_dim),
    }


def write_models(
    folder: Path,
    models: Mapping[str, bytes],
    cards: Mapping[str, Mapping[str, str]] | None = None,
    variant: Variant = AS_TRAINED,
) -> None:
    """Write models into a folder, each with its card inside if there are cards. Same models and cards, same bytes.

    `variant` is the form that they are in, which their file names tell.
    """
    for name, model in models.items():
        if cards is not None:
            inputs, outputs = MODELS[name]
            model = with_card(model, {**cards[name], "inputs": inputs, "outputs": outputs})
        atomic.write(folder / variant.file_name(name), model)
