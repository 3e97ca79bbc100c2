"""Models with fixed sizes, and quantized to int8: nearly the same answers, and a card that says how near."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort
import pytest
from conftest import declare_again, in_process, refused, succeeded

from tenfold.errors import BadInput
from tenfold.models.export import MODELS
from tenfold.models.variants import QUANTIZED, Variant, in_variant
from tenfold.sources import sample
from tenfold_onnx import CanvasClassifier, Classifier
from tenfold_onnx.content_hash import is_intact
from tenfold_onnx.contract import IR, OPSET
from tenfold_onnx.model_file import describe


@pytest.fixture(scope="module")
def models(finished_run: Path) -> dict[str, bytes]:
    return {name: (finished_run / name).read_bytes() for name in MODELS}


@pytest.fixture(scope="module")
def small_and_fixed(finished_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("variants")
    options = ["--int8", "--batch", "3", "--out", "out"]
    (folder / "printed").write_text(succeeded(in_process("export", finished_run, *options, cwd=folder)))
    return folder


def digits(compared: int, calibration: int = 0) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    train, test = sample.load()
    return test.images[:compared], train.images[:calibration]


def session(model: bytes) -> ort.InferenceSession:
    return ort.InferenceSession(model, providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("batch", [1, 5])
def test_fixed_models_leave_no_size_open_and_answer_the_same(models: dict[str, bytes], batch: int) -> None:
    forms, differences = in_variant(Variant(batch=batch), models, digits(13)[0])
    assert list(forms) == list(models) == list(differences)
    for name, form in forms.items():
        fixed, original = session(form), session(models[name])
        for node in (*fixed.get_inputs(), *fixed.get_outputs()):
            assert all(isinstance(side, int) for side in node.shape)
        assert [node.name for node in fixed.get_outputs()] == [node.name for node in original.get_outputs()]
        assert {node.op_type for node in onnx.load_from_string(form).graph.node}.isdisjoint({"Shape", "Range"})
        assert len(form) < 1.5 * len(models[name])
    assert session(forms["classifier_canvas.onnx"]).get_inputs()[0].shape == [batch, 280, 280]


def test_a_quantized_classifier_takes_a_third_of_the_space_and_reads_the_same(models: dict[str, bytes]) -> None:
    forms, _ = in_variant(Variant("int8"), models, *digits(300, 200))
    assert set(forms) == set(QUANTIZED)
    for name, form in forms.items():
        proto = onnx.load_from_string(form)
        weights = {tensor.name: tensor.data_type for tensor in proto.graph.initializer}
        of_convolutions = {node.input[1] for node in proto.graph.node if node.op_type == "Conv"}
        quantized = {node.output[0]: node.input[0] for node in proto.graph.node if node.op_type == "DequantizeLinear"}
        assert of_convolutions and all(weights[quantized[name]] == onnx.TensorProto.INT8 for name in of_convolutions)
        assert all(not node.domain for node in proto.graph.node)
        assert len(form) < len(models[name])


def test_the_same_digits_give_the_same_bytes(models: dict[str, bytes]) -> None:
    light = {"classifier_light.onnx": models["classifier_light.onnx"]}
    for variant in (Variant("int8"), Variant("int8", 2), Variant("float16"), Variant(batch=2)):
        made = [in_variant(variant, light, *digits(100, 100)) for _ in range(2)]
        assert made[0] == made[1]


def test_every_form_has_the_oldest_label_and_no_trace_of_the_machine(models: dict[str, bytes]) -> None:
    for variant in (Variant("int8"), Variant("int8", 2), Variant("float16"), Variant(batch=2)):
        for form in in_variant(variant, models, *digits(100, 100))[0].values():
            proto = onnx.load_from_string(form)
            assert (proto.ir_version, [entry.version for entry in proto.opset_import]) == (IR, [OPSET])
            assert proto.producer_name == "tenfold" and b"/tmp" not in form and not proto.metadata_props


def test_the_command_prints_the_difference_and_writes_it_on_the_card(small_and_fixed: Path, finished_run: Path) -> None:
    printed = (small_and_fixed / "printed").read_text().splitlines()
    files = {"classifier.batch3.onnx", "classifier_light.batch3.onnx", "classifier_canvas.batch3.onnx"}
    assert {path.name for path in (small_and_fixed / "out").iterdir()} == files
    for name in files:
        (line,) = (line for line in printed if line.startswith(f"{name}: "))
        words = r"(\d+|1,000) of 1,000 labels are equal, probabilities differ by at most 0\.\d+"
        found = re.fullmatch(words, line.removeprefix(f"{name}: "))
        assert found, line
        described = describe(small_and_fixed / "out" / name)
        assert described.card["weights"] == "int8" and described.card["sizes"].startswith("fixed: N = 3")
        assert described.card["parity"].startswith(found[0])
        assert is_intact((small_and_fixed / "out" / name).read_bytes())
        original = describe(finished_run / name.replace(".batch3", ""))
        assert original.card.items() - described.card.items() == {("content_sha256", original.card["content_sha256"])}
    assert describe(small_and_fixed / "out" / "classifier_canvas.batch3.onnx").card["sizes"].endswith("H = W = 280")


def test_the_runtime_refuses_fixed_models_in_a_sentence(small_and_fixed: Path) -> None:
    for model in (Classifier, CanvasClassifier):
        path = small_and_fixed / "out" / model.shipped.replace(".onnx", ".batch3.onnx")
        with pytest.raises(ValueError, match=r"must be uint8 .* for any N"):
            model(path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--half", "--int8", "--out", "out"], "half, int8: weights are one or the other"),
        (["--batch", "0", "--out", "out"], "batch: must be an integer from 1 to 1024, got 0"),
        (["--batch", "-3", "--out", "out"], "batch: must be an integer from 1 to 1024, got -3"),
        (["--batch", "1025", "--out", "out"], "batch: must be an integer from 1 to 1024, got 1025"),
        (["--batch", "1"], "batch: would replace the run's own models"),
        (["--int8"], "int8: would replace the run's own models"),
    ],
)
def test_options_that_make_no_sense_are_refused(
    options: list[str], message: str, finished_run: Path, tmp_path: Path
) -> None:
    assert message in refused("export", finished_run, *options, cwd=tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_form_that_reads_otherwise_is_refused(models: dict[str, bytes]) -> None:
    nothing = np.zeros((10, 28, 28), np.uint8)  # sets ranges in which no digit can be told from another
    with pytest.raises(BadInput, match=r"classifier\.onnx: as int8 it differs too much"):
        in_variant(Variant("int8"), models, digits(200)[0], nothing)


def test_int8_of_a_run_whose_digits_changed_is_refused(finished_run: Path, tmp_path: Path) -> None:
    shutil.copytree(finished_run, tmp_path / "run")
    record = tmp_path / "run" / "data.json"
    text = record.read_text()
    digest = re.search(r'"train_sha256": "(\w+)"', text)
    assert digest
    record.write_text(text.replace(digest[1], digest[1][::-1]))
    declare_again(tmp_path / "run")
    message = refused("export", tmp_path / "run", "--int8", "--out", tmp_path / "out", cwd=tmp_path)
    assert "holds other digits than" in message and not (tmp_path / "out").exists()
