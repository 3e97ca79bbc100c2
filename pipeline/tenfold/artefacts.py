"""What a run ships: its models as ONNX files, with a card inside."""

from __future__ import annotations

import json
from importlib.metadata import version
from itertools import product
from typing import Final

from torch import nn

from tenfold import atomic
from tenfold.ensemble import stored_cross_validation
from tenfold.record import DATA, RunFolder
from tenfold.settings import Net
from tenfold.weights import CLASSIFIER, GENERATOR, load_classifier, load_generator
from tenfold_onnx.contract import CLASSIFIER_INPUTS, CLASSIFIER_OUTPUTS, GENERATOR_INPUTS, GENERATOR_OUTPUTS
from tenfold_onnx.write.export import export_classifier, export_generator

CLASSIFIER_ONNX: Final = "classifier.onnx"
LIGHT_ONNX: Final = "classifier_light.onnx"
GENERATOR_ONNX: Final = "generator.onnx"
MODELS: Final = (CLASSIFIER_ONNX, LIGHT_ONNX, GENERATOR_ONNX)


def export(run: RunFolder) -> None:
    """Write the three models of a run whose nets are done, each only after parity with torch.

    The same run gives the same bytes. Raises BadInput where the run is not that far, ParityError where
    torch and onnxruntime disagree.
    """
    settings, common, cv = run.settings(), _card(run), stored_cross_validation(run)
    reading = {
        **common,
        "inputs": f"{CLASSIFIER_INPUTS[0]}: uint8 (N, 28, 28), 0 = background, digit light on dark",
        "outputs": f"{CLASSIFIER_OUTPUTS[0]}: float32 (N, 10); {CLASSIFIER_OUTPUTS[1]}: int64 (N,)",
    }
    nets = members(run)
    card = {
        "members": str(len(nets)),
        "cv": json.dumps({"mean": round(cv.mean, 6), "std": round(cv.std, 6), "errors": cv.errors, "rows": cv.rows}),
    }
    atomic.write(run.path / CLASSIFIER_ONNX, export_classifier(nets, reading | card))

    light = load_classifier(run.light / CLASSIFIER, Net(settings.light.channels, tta_shift_px=0))
    card = {"members": "1", "cv": "none: this net was fitted on all training digits"}
    atomic.write(run.path / LIGHT_ONNX, export_classifier([light], reading | card))

    generator = load_generator(run.generator / GENERATOR, settings.cgan)
    card = {
        "inputs": f"{GENERATOR_INPUTS[0]}: float32 (N, {settings.cgan.z_dim}), standard normal; "
        f"{GENERATOR_INPUTS[1]}: int64 (N,) in 0..9",
        "outputs": f"{GENERATOR_OUTPUTS[0]}: uint8 (N, 28, 28)",
    }
    atomic.write(run.path / GENERATOR_ONNX, export_generator(generator, settings.cgan.z_dim, common | card))


def members(run: RunFolder) -> list[nn.Module]:
    """The ensemble's nets, as they answer. Raises BadInput where one is missing or damaged."""
    settings = run.settings()
    places = product(range(settings.folds), range(settings.nets))
    return [load_classifier(run.net(fold, net) / CLASSIFIER, settings.net) for fold, net in places]


def _card(run: RunFolder) -> dict[str, str]:
    data = run.read_json(DATA)
    return {
        "release": version("tenfold"),
        "honest": "yes" if data["overlap"]["honest"] else "NO: LEAKED, trained on test images with their labels",
        "source": run.settings().data.source,
        "train_sha256": data["train_sha256"],
        "test_sha256": data["test_sha256"],
        "licence": "MIT",
    }
