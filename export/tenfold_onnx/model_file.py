"""ONNX files: open one in onnxruntime, check that it is the model wanted, describe what it takes and returns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnxruntime as ort

from tenfold_onnx.contract import BadInput


@dataclass(frozen=True)
class Description:
    """Inputs, outputs and card of a model file."""

    inputs: dict[str, str]  # name -> dtype and shape, such as "uint8 (batch, 28, 28)"
    outputs: dict[str, str]
    card: dict[str, str]


def describe(path: Path | str) -> Description:
    """Inputs, outputs and card of any ONNX model. Raises BadInput where the file is not one."""
    session = _open_session(path, threads=1, providers=("CPUExecutionProvider",))
    return Description(
        {node.name: _dtype_and_shape(node) for node in session.get_inputs()},
        {node.name: _dtype_and_shape(node) for node in session.get_outputs()},
        dict(session.get_modelmeta().custom_metadata_map),
    )


def open_model(
    path: Path | str,
    inputs: Sequence[str],
    outputs: Sequence[str],
    threads: int | None,
    providers: Sequence[str],
) -> ort.InferenceSession:
    """A session of the model at `path`, which has these inputs and at least these outputs. Raises BadInput."""
    session = _open_session(path, threads, providers)
    actual_inputs = tuple(node.name for node in session.get_inputs())
    actual_outputs = {node.name for node in session.get_outputs()}
    if actual_inputs != tuple(inputs) or not set(outputs) <= actual_outputs:
        raise BadInput(
            f"{path}: must be a model from {', '.join(inputs)} to {', '.join(outputs)}, "
            f"got one from {', '.join(actual_inputs)} to {', '.join(sorted(actual_outputs))}; give the other .onnx file"
        )
    return session


def numpy_dtype(node: Any) -> str:
    """The dtype of a session's input or output as numpy names it: onnxruntime's tensor(float) is float32."""
    name = node.type.removeprefix("tensor(").removesuffix(")")
    return {"float": "float32", "double": "float64"}.get(name, name)


def _dtype_and_shape(node: Any) -> str:
    return f"{numpy_dtype(node)} ({', '.join(str(side) for side in node.shape)}{',' * (len(node.shape) == 1)})"


def _open_session(path: Path | str, threads: int | None, providers: Sequence[str]) -> ort.InferenceSession:
    path = Path(path)
    if path.is_dir():
        models = ", ".join(str(model) for model in sorted(path.glob("*.onnx"))) or "it has none"
        raise BadInput(f"{path}: is a folder; give one .onnx file ({models})")
    if not path.is_file():
        raise BadInput(
            f"{path}: there is no such model file; give an exported .onnx file (on the command line --model)"
        )
    available = ort.get_available_providers()
    for name in providers:
        if name not in available:
            raise BadInput(f"providers: {name} is not in this onnxruntime; choose from {', '.join(available)}")
    options = ort.SessionOptions()
    options.log_severity_level = 3  # errors only: the wheel warns about hardware that it cannot inspect
    if threads is not None:
        if threads < 1:
            raise BadInput(f"threads: must be an integer ≥ 1, got {threads}")
        options.intra_op_num_threads = threads
    try:
        return ort.InferenceSession(str(path), options, providers=list(providers))
    except Exception as error:  # onnxruntime's exceptions share no public base class
        raise BadInput(f"{path}: cannot be loaded as an ONNX model ({_first_line(error)}); export it again") from error


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:160]
