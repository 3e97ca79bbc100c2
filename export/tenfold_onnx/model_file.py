"""ONNX files: open one in onnxruntime, check that it is the model wanted, describe what it takes and returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import onnxruntime as ort

from tenfold_onnx.contract import (
    ANY_SIZE,
    CANVAS_INPUTS,
    CLASSIFIER_INPUTS,
    GENERATOR_INPUTS,
    LATENT,
    BadInput,
    TensorType,
)
from tenfold_onnx.printable import printable
from tenfold_onnx.session import Options, open_session

# Names of a model's inputs -> what it is, and what takes it.
KINDS: Final = {
    tuple(CLASSIFIER_INPUTS): "it reads 28x28 images (`tenfold predict`, in Python Classifier)",
    tuple(CANVAS_INPUTS): "it reads drawings (`tenfold predict`, in Python CanvasClassifier)",
    tuple(GENERATOR_INPUTS): "it draws digits (`tenfold generate`, in Python Generator)",
}


@dataclass(frozen=True)
class Description:
    """Inputs, outputs and card of a model file."""

    inputs: dict[str, str]  # name -> dtype and shape, such as "uint8 (batch, 28, 28)"
    outputs: dict[str, str]
    card: dict[str, str]


def describe(path: Path | str, verify: bool = True) -> Description:
    """Inputs, outputs and card of any ONNX model. Raises BadInput where the file is not one, or is damaged."""
    session = open_session(Path(path), Options(threads=1, verify=verify))
    return Description(
        {printable(node.name): printable(str(declared(node))) for node in session.get_inputs()},
        {printable(node.name): printable(str(declared(node))) for node in session.get_outputs()},
        card_of(session),
    )


def open_model(
    path: Path, inputs: Mapping[str, TensorType], outputs: Mapping[str, TensorType], options: Options
) -> ort.InferenceSession:
    """A session of the model at `path`, which has these inputs and at least these outputs. Raises BadInput."""
    session = open_session(path, options)
    actual_inputs = {node.name: declared(node) for node in session.get_inputs()}
    actual_outputs = {node.name: declared(node) for node in session.get_outputs()}
    if list(actual_inputs) != list(inputs) or not outputs.keys() <= actual_outputs.keys():
        kind = KINDS.get(tuple(actual_inputs)) if list(actual_inputs) != list(inputs) else None
        raise BadInput(
            f"{path}: must be a model from {', '.join(inputs)} to {', '.join(outputs)}, got one from "
            f"{printable(', '.join(actual_inputs))} to {printable(', '.join(sorted(actual_outputs)))}; "
            f"{f'{kind}; ' if kind else ''}give the other .onnx file"
        )
    for role, wanted, actual in (("input", inputs, actual_inputs), ("output", outputs, actual_outputs)):
        for name, tensor in wanted.items():
            if not _may_be(actual[name], tensor):
                raise BadInput(
                    f"{path}: its {role} {name} must be {_in_words(tensor)}, got {printable(str(actual[name]))}; "
                    "export it that way, or give another model"
                )
    return session


def card_of(session: ort.InferenceSession) -> dict[str, str]:
    """A model's metadata. Anybody may have written it, so control characters in it are escaped."""
    metadata = session.get_modelmeta().custom_metadata_map
    return {printable(name): printable(text) for name, text in metadata.items()}


def declared(node: Any) -> TensorType:
    """The dtype and shape that a session declares for an input or output; a size that it leaves open is a name."""
    name = node.type.removeprefix("tensor(").removesuffix(")")  # of numpy's dtypes, only two have other names
    shape = tuple(side if isinstance(side, int) else side or "?" for side in node.shape)
    return TensorType({"float": "float32", "double": "float64"}.get(name, name), shape)


def _in_words(tensor: TensorType) -> str:
    any_size = " and ".join(str(size) for size in tensor.shape if size in ANY_SIZE)
    return f"{tensor} for any {any_size}{f' and one {LATENT}' * (LATENT in tensor.shape)}"


def _may_be(actual: TensorType, wanted: TensorType) -> bool:
    """Whether a tensor so declared may be what is wanted. A declaration without a shape leaves all sizes open."""
    sizes = actual.shape or ("?",) * len(wanted.shape)
    return (
        actual.dtype == wanted.dtype and len(sizes) == len(wanted.shape) and all(map(_size_may_be, sizes, wanted.shape))
    )


def _size_may_be(actual: int | str, wanted: int | str) -> bool:
    if isinstance(actual, str):
        return wanted != LATENT
    return actual == wanted if isinstance(wanted, int) else wanted not in ANY_SIZE
