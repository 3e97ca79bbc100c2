"""What a run ships: its models as ONNX files, with a card inside."""

from __future__ import annotations

import json
from importlib.metadata import version
from typing import Final

from tenfold import atomic
from tenfold.ensemble import stored_cross_validation
from tenfold.member import CLASSIFIER, GENERATOR, load_classifier, load_generator
from tenfold.record import DATA, RunFolder
from tenfold_onnx.contract import CLASSIFIER_INPUTS, CLASSIFIER_OUTPUTS, GENERATOR_INPUTS, GENERATOR_OUTPUTS
from tenfold_onnx.write.export import export_classifier, export_generator

CLASSIFIER_ONNX: Final = "classifier.onnx"
GENERATOR_ONNX: Final = "generator.onnx"


def export(run: RunFolder) -> None:
    """Write classifier.onnx and generator.onnx of a run whose folds are done, each only after parity with torch.

    The same run gives the same bytes. Raises BadInput where the run is not that far, ParityError where
    torch and onnxruntime disagree.
    """
    settings, data, cv = run.settings(), run.read_json(DATA), stored_cross_validation(run)
    common = {
        "release": version("tenfold"),
        "honest": "yes" if data["overlap"]["honest"] else "NO: LEAKED, trained on test images with their labels",
        "source": settings.data.source,
        "train_sha256": data["train_sha256"],
        "test_sha256": data["test_sha256"],
        "licence": "MIT",
    }
    members = [load_classifier(run.fold(fold) / CLASSIFIER, settings) for fold in range(settings.folds)]
    card = {
        **common,
        "inputs": f"{CLASSIFIER_INPUTS[0]}: uint8 (N, 28, 28), 0 = background, digit light on dark",
        "outputs": f"{CLASSIFIER_OUTPUTS[0]}: float32 (N, 10); {CLASSIFIER_OUTPUTS[1]}: int64 (N,)",
        "members": str(settings.folds),
        "cv": json.dumps({"mean": round(cv.mean, 6), "std": round(cv.std, 6), "errors": cv.errors, "rows": cv.rows}),
    }
    atomic.write(run.path / CLASSIFIER_ONNX, export_classifier(members, card))

    generator = load_generator(run.generator / GENERATOR, settings)
    card = {
        **common,
        "inputs": f"{GENERATOR_INPUTS[0]}: float32 (N, {settings.cgan.z_dim}), standard normal; "
        f"{GENERATOR_INPUTS[1]}: int64 (N,) in 0..9",
        "outputs": f"{GENERATOR_OUTPUTS[0]}: uint8 (N, 28, 28)",
    }
    atomic.write(run.path / GENERATOR_ONNX, export_generator(generator, settings.cgan.z_dim, card))
