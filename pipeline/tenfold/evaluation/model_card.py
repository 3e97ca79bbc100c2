"""What a model file says of itself: its scores, honest or leaked, the data it learnt from, release and licence."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import version
from typing import Any, Final

from tenfold.data.overlap import DataRecord
from tenfold.evaluation.cross_validation import CrossValidation
from tenfold.evaluation.judge import Verdict
from tenfold.evaluation.metrics import RunMetrics
from tenfold.settings import Settings, Source
from tenfold_onnx.contract import CANVAS_ONNX, CLASSIFIER_ONNX, EXPLAIN_ONNX, GENERATOR_ONNX, LIGHT_ONNX

# Kaggle's files and the sample hold MNIST's images too.
DATA_LICENCE: Final = "MNIST by Y. LeCun, C. Cortes and C. Burges, CC BY-SA 3.0"


def common_card(source: Source, data: DataRecord, environment: Mapping[str, Any]) -> dict[str, str]:
    """What the cards of all models of a run say."""
    return {
        "release": version("tenfold"),
        "git_commit": environment["git_commit"] or "none: made by an installed release",
        "honest": "yes" if data.overlap.honest else "NO: LEAKED, trained on test images with their labels",
        "source": source,
        "train_sha256": data.train_sha256,
        "test_sha256": data.test_sha256,
        "licence": "MIT",
        "data_licence": DATA_LICENCE,
    }


def model_cards(
    settings: Settings, metrics: RunMetrics, data: DataRecord, environment: Mapping[str, Any]
) -> dict[str, dict[str, str]]:
    """The card of each model of a run, by file name."""
    common = common_card(settings.data.source, data, environment)
    ensemble = common | {
        "members": str(settings.folds * settings.nets),
        "cv": _score(metrics.cross_validation, ("mean", "std", "errors", "rows")),
        "judge": _score(metrics.judge, ("accuracy", "errors", "rows")),
        "temperature": f"{metrics.temperature:.6f}",
    }
    light = ensemble | {
        "members": "1",
        "cv": "none: this net was fitted on all training digits",
        "judge": _score(metrics.judge_light, ("accuracy", "errors", "rows")),
    }
    return {
        CLASSIFIER_ONNX: ensemble,
        LIGHT_ONNX: light,
        CANVAS_ONNX: light,
        EXPLAIN_ONNX: light,
        GENERATOR_ONNX: common,
    }


def _score(score: CrossValidation | Verdict | None, names: tuple[str, ...]) -> str:
    if score is None:
        return "none: no labels available"
    numbers = asdict(score)
    return json.dumps({name: round(numbers[name], 6) for name in names})
