"""Models whose sizes are all fixed, for compilers and devices that take no open ones."""

from __future__ import annotations

from typing import Final

import onnx
from onnxscript import optimizer

from tenfold_onnx.write.examples import CANVAS_SIDE
from tenfold_onnx.write.label import with_oldest_label

LARGEST_CONSTANT: Final = 1024  # numbers that are computed now and stored; whole drawings of zeros are not


def with_fixed_sizes(model: bytes, batch: int) -> bytes:
    """The model for exactly `batch` rows, and a canvas classifier for drawings of CANVAS_SIDE pixels a side.

    What only serves to find out the sizes is computed now and leaves the graph. The result has no card: the model's
    hash is not its own. Raises ValueError where an output's size stays open.
    """
    proto = onnx.load_from_string(model)
    del proto.metadata_props[:], proto.graph.value_info[:]
    sizes = {"batch": batch, "height": CANVAS_SIDE, "width": CANVAS_SIDE}
    for value in proto.graph.input:
        for dimension in value.type.tensor_type.shape.dim:
            if dimension.dim_param:
                dimension.dim_value = sizes[dimension.dim_param]
    for value in proto.graph.output:
        value.type.tensor_type.ClearField("shape")  # inferred again
    proto = optimizer.optimize(proto, output_size_limit=LARGEST_CONSTANT)
    for value in proto.graph.output:
        if not all(dimension.HasField("dim_value") for dimension in value.type.tensor_type.shape.dim):
            raise ValueError(f"{value.name}: a size stays open")
    return bytes(with_oldest_label(proto).SerializeToString(deterministic=True))
