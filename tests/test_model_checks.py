"""A wrong model is refused in one sentence, when it is loaded or at its first answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from conftest import few_digits, in_process, one_sentence, refused, succeeded
from onnx import TensorProto, helper, numpy_helper

from digit_recognizer import rows
from tenfold.sources import sample
from tenfold_onnx import BadInput, CanvasClassifier, Classifier, Explainer, Generator, shipped_models
from tenfold_onnx.contract import EXPLAIN_OUTPUTS, TensorType
from tenfold_onnx.model_file import describe

Model = type[Classifier] | type[CanvasClassifier] | type[Explainer] | type[Generator]
MODELS: tuple[Model, ...] = (Classifier, CanvasClassifier, Explainer, Generator)
IMAGES = few_digits(8).images
IN_ONNX = {"uint8": TensorProto.UINT8, "float32": TensorProto.FLOAT, "int64": TensorProto.INT64}
IN_ONNX |= {"int32": TensorProto.INT32}


def uint8(*shape: int | str | None) -> TensorType:
    return TensorType("uint8", shape)  # type: ignore[arg-type]


def float32(*shape: int | str | None) -> TensorType:
    return TensorType("float32", shape)  # type: ignore[arg-type]


def int32(*shape: int | str | None) -> TensorType:
    return TensorType("int32", shape)  # type: ignore[arg-type]


def int64(*shape: int | str | None) -> TensorType:
    return TensorType("int64", shape)  # type: ignore[arg-type]


def answers(model: Any) -> list[npt.NDArray[Any]]:
    """What a model of any kind returns for the same few inputs."""
    if isinstance(model, Generator):
        return [model.generate(np.arange(10), seed=1)]
    return model.activations(IMAGES) if isinstance(model, Explainer) else list(model.predict(IMAGES))


def constant_model(
    path: Path, kind: Model, *, declare_sizes: bool = True, card: dict[str, str] | None = None, **changes: Any
) -> Path:
    """A model of this kind that returns constants. `changes` replaces tensors by name: a type, or a type and a value.

    Without `declare_sizes` its outputs declare names instead of their sizes, so that only running it shows them.
    """
    values: dict[str, Any] = {"probabilities": 0.1}  # 0 where nothing else is said
    types: dict[str, TensorType] = dict(kind.inputs) | dict(kind.outputs)
    if kind is Generator:
        types["z"] = float32("N", 7)
    for name, change in changes.items():
        types[name], values[name] = change if isinstance(change[0], TensorType) else (change, values.get(name, 0))

    def value_info(name: str, declared: bool) -> Any:
        sizes = [size if declared or axis == 0 else f"{name}_{axis}" for axis, size in enumerate(types[name].shape)]
        return helper.make_tensor_value_info(name, IN_ONNX[types[name].dtype], sizes)

    nodes, constants = [helper.make_node("Shape", [next(iter(kind.inputs))], ["rows"], start=0, end=1)], []
    for name in kind.outputs:
        sizes = [size if isinstance(size, int) else 2 for size in types[name].shape[1:]]
        constants.append(numpy_helper.from_array(np.array(sizes, np.int64), f"{name}_sizes"))
        nodes.append(helper.make_node("Concat", ["rows", f"{name}_sizes"], [f"{name}_shape"], axis=0))
        value = numpy_helper.from_array(np.array([values.get(name, 0)], types[name].dtype))
        nodes.append(helper.make_node("ConstantOfShape", [f"{name}_shape"], [name], value=value))
    graph = helper.make_graph(
        nodes,
        "constants",
        [value_info(name, True) for name in kind.inputs],
        [value_info(name, declare_sizes) for name in kind.outputs],
        constants,
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    helper.set_model_props(proto, card or {})
    path.write_bytes(proto.SerializeToString())
    return path


WRONG_DECLARATIONS: list[tuple[Model, dict[str, TensorType], str]] = [
    (Classifier, {"images": float32("N", 28, 28)}, r"input images must be uint8 \(N, 28, 28\) .*got float32 \(N, 28"),
    (Classifier, {"images": uint8("N", 32, 32)}, r"input images .* got uint8 \(N, 32, 32\)"),
    (Classifier, {"images": uint8("N", 1, 28, 28)}, r"input images .* got uint8 \(N, 1, 28, 28\)"),
    (Classifier, {"images": uint8(1, 28, 28)}, r"for any N, got uint8 \(1, 28, 28\)"),
    (Classifier, {"probabilities": float32("N", 5)}, r"output probabilities must be float32 \(N, 10\) .* \(N, 5\)"),
    (Classifier, {"probabilities": float32("N", 1000)}, r"got float32 \(N, 1000\)"),
    (Classifier, {"probabilities": int64("N", 10)}, r"got int64 \(N, 10\)"),
    (Classifier, {"label": float32("N")}, r"output label must be int64 \(N,\) .* got float32 \(N,\)"),
    (CanvasClassifier, {"drawings": uint8("N", 280, 280)}, r"for any N and H and W, got uint8 \(N, 280, 280\)"),
    (CanvasClassifier, {"seen": float32("N", 28, 28)}, r"output seen must be uint8 \(N, 28, 28\)"),
    (Explainer, {"activation_1": float32("N", 8)}, r"output activation_1 must be float32 \(N, channels, side, side\)"),
    (Generator, {"z": float32("N", "width")}, r"input z must be float32 \(N, Z\) for any N and one Z, got .*width"),
    (Generator, {"z": float32("N", None)}, r"input z .* got float32 \(N, \?\)"),
    (Generator, {"z": float32("N")}, r"input z .* got float32 \(N,\)"),
    (Generator, {"labels": TensorType("int32", ("N",))}, r"input labels must be int64"),
    (Generator, {"images": float32("N", 28, 28)}, r"output images must be uint8"),
]


@pytest.mark.parametrize(("kind", "changes", "message"), WRONG_DECLARATIONS, ids=lambda value: str(value)[:60])
def test_a_model_that_declares_other_tensors_is_not_loaded(
    tmp_path: Path, kind: Model, changes: dict[str, TensorType], message: str
) -> None:
    with pytest.raises(BadInput, match=message):
        kind(constant_model(tmp_path / "m.onnx", kind, **changes))


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("declare_sizes", [True, False])
def test_a_right_model_works_with_or_without_declared_sizes(tmp_path: Path, kind: Model, declare_sizes: bool) -> None:
    model = kind(constant_model(tmp_path / "m.onnx", kind, declare_sizes=declare_sizes))
    assert all(len(answer) in (8, 10) for answer in answers(model))
    if isinstance(model, Classifier):
        assert model.predict(IMAGES[:0]).probabilities.shape == (0, 10)


WRONG_ANSWERS: list[tuple[Model, dict[str, Any], str]] = [
    (
        Classifier,
        {"probabilities": float32("N", 5)},
        r"output probabilities must be float32 \(N, 10\), got .* \(8, 5\)",
    ),
    (Classifier, {"probabilities": (float32("N", 10), np.nan)}, "no numbers from 0 to 1"),
    (Classifier, {"probabilities": (float32("N", 10), -0.1)}, "no numbers from 0 to 1"),
    (Classifier, {"probabilities": (float32("N", 10), np.inf)}, "no numbers from 0 to 1"),
    (Classifier, {"probabilities": (float32("N", 10), 0.2)}, "do not sum to 1"),
    (Classifier, {"label": (int64("N"), 10)}, r"labels that are not 0\.\.9"),
    (Classifier, {"label": (int64("N"), -1)}, r"labels that are not 0\.\.9"),
    (CanvasClassifier, {"probabilities": (float32("N", 10), np.nan)}, "no numbers from 0 to 1"),
    (CanvasClassifier, {"verdict": (int32("N"), 7)}, "verdicts that do not fit its labels"),
    (CanvasClassifier, {"verdict": (int32("N"), 3)}, "verdicts that do not fit its labels"),
    (CanvasClassifier, {"label": (int64("N"), -1)}, "verdicts that do not fit its labels"),
    (CanvasClassifier, {"label": (int64("N"), -2)}, r"labels that are not 0\.\.9"),
    (CanvasClassifier, {"ink": (float32("N"), np.nan)}, "ink that is no share"),
    (CanvasClassifier, {"seen": uint8("N", 32, 32)}, "output seen must be uint8"),
    (Explainer, {"activation_1": (EXPLAIN_OUTPUTS["activation_1"], np.nan)}, "activations that are no finite"),
    (Generator, {"images": uint8("N", 32, 32)}, r"output images must be .* \(10, 32, 32\)"),
]


@pytest.mark.parametrize(("kind", "changes", "message"), WRONG_ANSWERS, ids=lambda value: str(value)[:60])
def test_a_model_that_returns_nonsense_is_refused(
    tmp_path: Path, kind: Model, changes: dict[str, Any], message: str
) -> None:
    model = kind(constant_model(tmp_path / "m.onnx", kind, declare_sizes=False, **changes))
    with pytest.raises(BadInput, match=message) as refusal:
        answers(model)
    assert str(refusal.value).startswith(f"{tmp_path}/m.onnx: ")


def test_labels_must_be_the_most_likely_digits(tmp_path: Path) -> None:
    proto = onnx.load(shipped_models() / "classifier_light.onnx")
    (argmax,) = (node for node in proto.graph.node if node.op_type == "ArgMax")
    argmax.op_type = "ArgMin"
    onnx.save(proto, tmp_path / "m.onnx")
    with pytest.raises(BadInput, match="not the most likely digits"):
        Classifier(tmp_path / "m.onnx", verify=False).predict(sample.load()[1].images[:8])


def test_a_model_that_cannot_run_is_refused(tmp_path: Path) -> None:
    changes = {"probabilities": float32("N", -5)}  # no shape that a tensor can have
    model = Classifier(constant_model(tmp_path / "m.onnx", Classifier, declare_sizes=False, **changes))
    with pytest.raises(BadInput, match=r"m\.onnx: onnxruntime cannot run it \("):
        model.predict(IMAGES)


def test_nonsense_writes_no_submission(tmp_path: Path) -> None:
    nan = {"probabilities": (float32("N", 10), np.nan)}
    model = constant_model(tmp_path / "m.onnx", Classifier, **nan)
    (tmp_path / "test.csv").write_bytes(rows.render(IMAGES))
    command = ("predict", "test.csv", "--model", model, "--out", "submission.csv")
    assert "m.onnx: returns" in refused(*command, cwd=tmp_path)
    assert not (tmp_path / "submission.csv").exists()


def test_latent_vectors_must_be_finite() -> None:
    generator = Generator()
    with pytest.raises(BadInput, match="z: must be finite numbers"):
        generator.generate([1], z=np.full((1, generator.z_dim), np.nan, np.float32))


def test_a_cards_control_characters_are_escaped(tmp_path: Path) -> None:
    card = {"release": "\x1b]0;title\x07\x9b31mred\r\nsecond", "\x1b[2Jkey": "value"}
    path = constant_model(tmp_path / "m.onnx", Classifier, card=card)
    shown = {"release": r"\x1b]0;title\x07\x9b31mred\r\nsecond", r"\x1b[2Jkey": "value"}
    assert Classifier(path).card == describe(path).card == shown
    assert all(line.isprintable() for line in succeeded(in_process("info", path, cwd=tmp_path)).splitlines())


def test_names_with_control_characters_are_escaped_in_a_refusal(tmp_path: Path) -> None:
    path = constant_model(tmp_path / "m.onnx", Classifier, images=uint8("\x1b[2JN", 32, 32))
    (tmp_path / "x.csv").write_bytes(rows.render(IMAGES))
    done = in_process("predict", "x.csv", "--model", path, cwd=tmp_path)
    assert one_sentence(done.stderr).strip().isprintable() and r"\x1b[2JN" in done.stderr


def test_a_card_that_is_no_utf8_is_refused(tmp_path: Path) -> None:
    path = constant_model(tmp_path / "m.onnx", Classifier, card={"release": "0.1.0"})
    path.write_bytes(path.read_bytes().replace(b"0.1.0", b"0\xa01.0"))
    with pytest.raises(BadInput, match="cannot be loaded as an ONNX model"):
        Classifier(path)
