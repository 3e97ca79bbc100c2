"""Models of a third of the size: convolutions in 8-bit integers."""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from tenfold_onnx.write.examples import Inputs, batches, example_inputs
from tenfold_onnx.write.label import with_oldest_label

# Not all else: a drawing is placed by matrices that need more than 8 bits.
QUANTIZED: Final = ["Conv", "Gemm"]


def with_int8_weights(model: bytes, digits: npt.NDArray[np.uint8]) -> bytes:
    """A classifier whose convolutions and head are quantized, per output channel, in ONNX's own operators.

    `digits`, images uint8 (N, 28, 28) that look like those to come, set the ranges of activations. Inputs and outputs
    stay. The result has no card: the model's hash is not its own.
    """
    proto = onnx.load_from_string(model)
    del proto.metadata_props[:]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "int8.onnx"
        logging.disable(logging.WARNING)  # it advises a preparation that these graphs do not need
        try:
            quantize_static(
                proto,
                path,
                _Batches(model, digits),
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=QUANTIZED,
                per_channel=True,
                reduce_range=True,  # 7 bits: with 8, x86 processors without VNNI overflow and answer otherwise
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
            )
        finally:
            logging.disable(logging.NOTSET)
        quantized = onnx.load(path)
    del quantized.metadata_props[:]
    quantized.producer_name, quantized.producer_version = proto.producer_name, proto.producer_version
    return bytes(with_oldest_label(quantized).SerializeToString(deterministic=True))


class _Batches(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime has no types
    """The model's inputs as the quantizer wants them: one batch after the other, then None."""

    def __init__(self, model: bytes, digits: npt.NDArray[np.uint8]) -> None:
        session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
        self.batches = batches(session, example_inputs(session, digits))

    def get_next(self) -> Inputs | None:
        """The next batch."""
        return next(self.batches, None)
