"""Models with float16 weights: half the size, the same inputs and outputs, nearly the same answers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from conftest import few_digits, in_process, refused, succeeded
from onnx import numpy_helper

from tenfold.errors import BadInput
from tenfold.models.export import MODELS
from tenfold.models.variants import Variant, in_variant
from tenfold_onnx import CanvasClassifier, Classifier, Explainer, Generator
from tenfold_onnx.model_file import describe


@pytest.fixture(scope="module")
def halves(finished_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("half")
    succeeded(in_process("export", finished_run, "--half", "--out", folder, cwd=folder))
    return folder


@pytest.mark.parametrize("name", list(MODELS))
def test_inputs_outputs_and_card_stay(name: str, halves: Path, finished_run: Path) -> None:
    before, after = (describe(folder / name) for folder in (finished_run, halves))
    assert after.card.pop("content_sha256") != before.card.pop("content_sha256")
    assert after.card.pop("weights") == "float16" and "differ by at most" in after.card.pop("parity")
    assert after == before


def test_a_generator_takes_little_over_half_the_space(halves: Path, finished_run: Path) -> None:
    before, after = ((folder / "generator.onnx").stat().st_size for folder in (finished_run, halves))
    assert 0.4 < after / before < 0.7


def test_answers_stay_close(halves: Path, finished_run: Path) -> None:
    images = few_digits(200).images
    for model in (Classifier, CanvasClassifier, Explainer):
        before, after = (model(folder / model.shipped) for folder in (finished_run, halves))
        if isinstance(before, Explainer) and isinstance(after, Explainer):
            pairs = zip(before.activations(images), after.activations(images), strict=True)
            assert all(np.allclose(one, other, atol=0.02 * np.abs(one).max()) for one, other in pairs)
        else:
            one, other = (opened.predict(images).probabilities for opened in (before, after))  # type: ignore[union-attr]
            assert np.abs(one - other).max() < 0.01
    drawn = [Generator(folder / "generator.onnx").generate(np.arange(10)) for folder in (finished_run, halves)]
    assert np.abs(drawn[0].astype(int) - drawn[1].astype(int)).max() <= 3


def test_weights_beyond_float16_are_refused(finished_run: Path) -> None:
    proto = onnx.load(finished_run / "classifier_light.onnx")
    largest = max(proto.graph.initializer, key=lambda tensor: np.prod(tensor.dims))
    largest.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(largest) * np.float32(1e6), largest.name))
    with pytest.raises(BadInput, match=r"classifier_light\.onnx: as float16 it differs too much \(.*nan"):
        in_variant(Variant("float16"), {"classifier_light.onnx": proto.SerializeToString()}, few_digits(50).images)


def test_a_runs_own_models_are_not_replaced(finished_run: Path, tmp_path: Path) -> None:
    for out in ([], ["--out", finished_run]):
        assert "give another --out" in refused("export", finished_run, "--half", *out, cwd=tmp_path)
