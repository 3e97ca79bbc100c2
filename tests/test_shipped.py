"""The models that come with the package work at once, and are as good as their cards say."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from conftest import in_process, succeeded
from PIL import Image

from tenfold.evaluation.judge import look_up_labels
from tenfold.settings import Data
from tenfold.sources import sample
from tenfold.sources.load import load_sources, reference_digits
from tenfold_onnx import CanvasClassifier, Classifier, Explainer, Generator, shipped_models
from tenfold_onnx.contract import IR, OPSET
from tenfold_onnx.write.label import with_oldest_label

MODELS = (Classifier, CanvasClassifier, Explainer, Generator)


def test_they_fit_in_two_and_a_half_megabytes() -> None:
    assert {path.name for path in shipped_models().iterdir()} == {model.shipped for model in MODELS}
    assert sum(path.stat().st_size for path in shipped_models().iterdir()) <= 2.5e6


@pytest.mark.parametrize("model", MODELS)
def test_each_opens_without_a_path_and_has_its_card(model: type[Classifier]) -> None:
    card = model().card
    assert card["honest"] == "yes" and card["source"] == "kaggle" and len(card["git_commit"]) == 40


@pytest.mark.parametrize("model", MODELS)
def test_each_has_the_label_that_the_exporter_writes(model: type[Classifier]) -> None:
    proto = onnx.load(shipped_models() / model.shipped)
    assert (proto.opset_import[0].version, proto.ir_version) == (OPSET, IR)
    assert with_oldest_label(onnx.load(shipped_models() / model.shipped)) == proto


def test_predict_reads_a_picture_with_no_model_given(tmp_path: Path) -> None:
    digits, _ = sample.load()
    image = Image.fromarray(255 - digits.images[0]).resize((280, 280), Image.Resampling.BICUBIC)  # dark on light
    image.save(tmp_path / "photo.png")
    lines = succeeded(in_process("predict", "photo.png", cwd=tmp_path)).splitlines()
    assert lines[1].startswith(f"photo.png,{digits.known_labels()[0]},0.9")


def test_the_generator_draws_what_the_classifier_reads() -> None:
    labels = np.repeat(np.arange(10), 20)
    assert (Classifier().predict(Generator().generate(labels, seed=1)).label == labels).mean() >= 0.97


@pytest.mark.real
def test_the_classifier_is_as_good_as_its_card_says(real_data: Path, own_cache: Path) -> None:
    data = Data(source="kaggle", data=real_data)
    test = load_sources(data).test
    classifier = Classifier()
    errors = int((classifier.predict(test.images).label != look_up_labels(test, reference_digits(data))).sum())
    card = json.loads(classifier.card["judge"])
    assert card["rows"] == 28_000 and abs(errors - card["errors"]) <= 3  # float16 may turn a close answer
