"""ONNX files: open one in onnxruntime, check that it is the model wanted, describe what it takes and returns."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnxruntime as ort

from tenfold_onnx.content_hash import CONTENT_HASH, ends_in_hash, is_intact
from tenfold_onnx.contract import ANY_SIZE, LATENT, WITHOUT_HASH, BadInput, TensorType


@dataclass(frozen=True)
class Description:
    """Inputs, outputs and card of a model file."""

    inputs: dict[str, str]  # name -> dtype and shape, such as "uint8 (batch, 28, 28)"
    outputs: dict[str, str]
    card: dict[str, str]


def describe(path: Path | str, verify: bool = True) -> Description:
    """Inputs, outputs and card of any ONNX model. Raises BadInput where the file is not one, or is damaged."""
    session = _open_session(path, 1, ("CPUExecutionProvider",), verify)
    return Description(
        {printable(node.name): printable(str(declared(node))) for node in session.get_inputs()},
        {printable(node.name): printable(str(declared(node))) for node in session.get_outputs()},
        card_of(session),
    )


def open_model(
    path: Path | str,
    inputs: Mapping[str, TensorType],
    outputs: Mapping[str, TensorType],
    threads: int | None,
    providers: Sequence[str],
    verify: bool,
) -> ort.InferenceSession:
    """A session of the model at `path`, which has these inputs and at least these outputs. Raises BadInput.

    With `verify`, a file whose bytes differ from the hash in its card is refused.
    """
    session = _open_session(path, threads, providers, verify)
    actual_inputs = {node.name: declared(node) for node in session.get_inputs()}
    actual_outputs = {node.name: declared(node) for node in session.get_outputs()}
    if list(actual_inputs) != list(inputs) or not outputs.keys() <= actual_outputs.keys():
        raise BadInput(
            f"{path}: must be a model from {', '.join(inputs)} to {', '.join(outputs)}, got one from "
            f"{printable(', '.join(actual_inputs))} to {printable(', '.join(sorted(actual_outputs)))}; "
            "give the other .onnx file"
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


def printable(text: str) -> str:
    """The text with its control characters, which a terminal would obey, escaped as in Python."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


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


def _open_session(
    path: Path | str, threads: int | None, providers: Sequence[str], verify: bool
) -> ort.InferenceSession:
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
        model = path.read_bytes()
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror}); give another file") from error
    if verify and ends_in_hash(model) and not is_intact(model):
        raise _changed(path)
    # The bytes that were checked are the ones that run. Other models may name files beside them, which onnxruntime
    # finds by the model's path; it takes only paths in UTF-8.
    in_utf8 = str(path).encode(errors="ignore") == os.fsencode(path)
    source = str(path) if in_utf8 and not ends_in_hash(model) else model
    try:
        session = ort.InferenceSession(source, options, providers=list(providers))
        card = session.get_modelmeta().custom_metadata_map  # fails where it is no UTF-8
    except Exception as error:  # onnxruntime's exceptions share no public base class
        raise BadInput(f"{path}: cannot be loaded as an ONNX model ({first_line(error)}); export it again") from error
    hash_is_due = CONTENT_HASH in card or card.get("contract", "1") not in WITHOUT_HASH
    if verify and hash_is_due and not ends_in_hash(model):
        raise _changed(path)  # it was cut off, or another program has moved it
    return session


def _changed(path: Path) -> BadInput:
    return BadInput(
        f"{path}: its bytes differ from the hash in its card: it is damaged, or another program rewrote it; export it "
        "again, or skip this check (predict, generate and info: --no-verify; in Python: verify=False)"
    )


def first_line(error: Exception) -> str:
    """What an error says, in one printable line."""
    return printable((str(error).strip().splitlines() or [type(error).__name__])[0][:160])
