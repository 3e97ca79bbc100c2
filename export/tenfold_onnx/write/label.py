"""The versions that a model file asks of whoever loads it: the oldest that its operators need."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import onnx
from onnx import ModelProto

from tenfold_onnx.contract import IR, OPSET

# The notes of whoever wrote a graph: nothing reads them, old readers do not know them all, and they hold paths.
NOTES: Final = ("metadata_props", "doc_string")
# Newer than IR 8. https://github.com/onnx/onnx/blob/main/onnx/onnx.proto lists what each version brought.
NEWER_FIELDS: Final = ("overload", "device_configurations")
NEWEST_TYPE: Final = onnx.TensorProto.BFLOAT16  # types of a higher number (float8, int4 and so on) are newer


class LabelError(RuntimeError):
    """A model needs newer versions than the contract promises."""


def with_oldest_label(model: ModelProto) -> ModelProto:
    """The model, labelled with the contract's opset and IR version, which old runtimes load. Changes it in place.

    A label is no conversion, so all that is in the graph must mean the same under it: the operators, the types of
    tensors, the fields of the format. Raises LabelError where something does not. Notes in the graph are removed.
    """
    opsets = {entry.domain: entry.version for entry in model.opset_import}
    for node in model.graph.node:
        _require_same_meaning(node, opsets)
    for message in list(_messages(model.graph)):
        for field, value in message.ListFields():
            newer_type = field.name in ("data_type", "elem_type") and value > NEWEST_TYPE
            if newer_type or field.name in NEWER_FIELDS:
                raise LabelError(f"{type(message).__name__}.{field.name}: is newer than IR version {IR}")
            if field.name in NOTES:
                message.ClearField(field.name)
    del model.opset_import[:]
    model.opset_import.append(onnx.helper.make_opsetid("", OPSET))
    model.ir_version = IR
    onnx.checker.check_model(model, full_check=True)
    return model


def _require_same_meaning(node: onnx.NodeProto, opsets: dict[str, int]) -> None:
    """Raise LabelError unless the operator is the same one in the model's opset as in the contract's."""
    if node.domain:
        raise LabelError(f"{node.domain}.{node.op_type}: is not one of ONNX's own operators")
    try:
        written, promised = (onnx.defs.get_schema(node.op_type, version, "") for version in (opsets[""], OPSET))
    except onnx.defs.SchemaError as error:
        raise LabelError(f"{node.op_type}: is not in opset {OPSET}") from error
    if written.since_version != promised.since_version:
        raise LabelError(f"{node.op_type}: opset {opsets['']} changed it; export for opset {OPSET}")


def _messages(message: Any) -> Iterator[Any]:
    """A protobuf message and all those in it, the innermost first."""
    for field, value in message.ListFields():
        if field.message_type is not None:
            for part in value if hasattr(value, "__len__") else [value]:
                yield from _messages(part)
    yield message
