"""Models of half the size: weights stored as float16. Inputs, outputs and arithmetic stay what they were."""

from __future__ import annotations

from typing import Final

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

LEAST_WEIGHTS: Final = 256  # a smaller tensor saves less than its conversion takes


def with_half_weights(model: bytes) -> bytes:
    """The model with its float32 weights as float16, cast to float32 where the graph begins.

    onnxruntime casts once, when it loads the model; it computes in float32 as before. The result has no card: the
    model's hash is not its own.
    """
    proto = onnx.load_from_string(model)
    del proto.metadata_props[:]
    casts = []
    for weights in proto.graph.initializer:
        values = numpy_helper.to_array(weights)
        if values.dtype != np.float32 or values.size < LEAST_WEIGHTS:
            continue
        name = weights.name
        with np.errstate(over="ignore"):  # then the answers differ, and `compare` refuses them
            weights.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}_half"))
        casts.append(helper.make_node("Cast", [weights.name], [name], name=f"{name}_cast", to=TensorProto.FLOAT))
    nodes = [*casts, *proto.graph.node]
    del proto.graph.node[:]
    proto.graph.node.extend(nodes)
    onnx.checker.check_model(proto, full_check=True)
    return bytes(proto.SerializeToString(deterministic=True))
