"""Models of half the size: weights stored as float16. Inputs, outputs and arithmetic stay what they were."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

from tenfold_onnx.contract import CLASSES, SIDE
from tenfold_onnx.write.parity import ParityError, sketches

LEAST_WEIGHTS: Final = 256  # a smaller tensor saves less than its conversion takes
PROBABILITY_TOLERANCE: Final = 0.01  # float16 has 11 significant bits, and errors of many weights add up
GREY_TOLERANCE: Final = 3  # of 255, by any pixel


def with_half_weights(model: bytes) -> bytes:
    """The model with its float32 weights as float16, cast to float32 where the graph begins.

    onnxruntime casts once, when it loads the model; it computes in float32 as before. Raises ParityError where the
    outputs are no longer close to the model's. The result has no card: the model's hash is not its own.
    """
    proto = onnx.load_from_string(model)
    del proto.metadata_props[:]
    casts = []
    for weights in proto.graph.initializer:
        values = numpy_helper.to_array(weights)
        if values.dtype != np.float32 or values.size < LEAST_WEIGHTS:
            continue
        name = weights.name
        with np.errstate(over="ignore"):  # then the outputs differ, and are refused below
            weights.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}_half"))
        casts.append(helper.make_node("Cast", [weights.name], [name], name=f"{name}_cast", to=TensorProto.FLOAT))
    nodes = [*casts, *proto.graph.node]
    del proto.graph.node[:]
    proto.graph.node.extend(nodes)
    onnx.checker.check_model(proto, full_check=True)
    half = bytes(proto.SerializeToString(deterministic=True))
    _check(model, half)
    return half


def _check(model: bytes, half: bytes) -> None:
    """Compare what users see, probabilities or images, on seeded inputs. Raises ParityError."""
    sessions = [ort.InferenceSession(data, providers=["CPUExecutionProvider"]) for data in (model, half)]
    first = sessions[0].get_inputs()[0]
    rng = np.random.default_rng(0)
    inputs: dict[str, Any] = {first.name: sketches(64, SIDE, SIDE).numpy()}
    if first.name == "z":
        inputs = {
            "z": rng.standard_normal((64, first.shape[1]), dtype=np.float32),
            "labels": rng.integers(0, CLASSES, 64),
        }
    output, tolerance = ("images", GREY_TOLERANCE) if first.name == "z" else ("probabilities", PROBABILITY_TOLERANCE)
    before, after = (session.run([output], inputs)[0].astype(np.float64) for session in sessions)
    difference = np.abs(before - after).max()
    if not difference <= tolerance:
        raise ParityError(f"float16 weights: {output} differ by {difference:.3g}, above {tolerance}")
