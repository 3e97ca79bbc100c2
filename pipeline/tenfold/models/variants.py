"""Other forms of a run's models: with fixed sizes, with float16 weights, quantized to int8."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from tenfold.errors import BadInput
from tenfold_onnx.contract import CANVAS_ONNX, CLASSIFIER_ONNX, LIGHT_ONNX
from tenfold_onnx.write.agreement import compare
from tenfold_onnx.write.examples import CANVAS_SIDE
from tenfold_onnx.write.fixed import with_fixed_sizes
from tenfold_onnx.write.half import with_half_weights
from tenfold_onnx.write.parity import ParityError
from tenfold_onnx.write.quantize import with_int8_weights

# Activations and generated images are to be looked at, and int8 keeps too few of their levels.
QUANTIZED: Final = (CLASSIFIER_ONNX, LIGHT_ONNX, CANVAS_ONNX)
# Of probabilities. float32: a pixel of a drawing may round to the next grey level. float16 has 11 significant bits, and
# errors of many weights add up. Of int8, the labels tell more.
MAX_DIFFERENCE: Final = {"float32": 0.001, "float16": 0.01, "int8": 0.5}


@dataclass(frozen=True)
class Variant:
    """A form of the models."""

    weights: Literal["float32", "float16", "int8"] = "float32"
    batch: int | None = None  # rows, where all sizes are fixed

    def file_name(self, name: str) -> str:
        """The name of a model's file in this form: another one where it takes other inputs."""
        return name if self.batch is None else name.replace(".onnx", f".batch{self.batch}.onnx")

    def card(self, name: str) -> dict[str, str]:
        """What the card of a model says of this form."""
        sides = f", H = W = {CANVAS_SIDE}" if name == CANVAS_ONNX else ""
        sizes = {} if self.batch is None else {"sizes": f"fixed: N = {self.batch}{sides}"}
        return {"weights": self.weights, **sizes}


AS_TRAINED: Final = Variant()


def in_variant(
    variant: Variant,
    models: Mapping[str, bytes],
    digits: npt.NDArray[np.uint8],
    calibration: npt.NDArray[np.uint8] | None = None,
) -> tuple[dict[str, bytes], dict[str, str]]:
    """Each model in this form, by the model's name, and how far it is from the model on `digits`, in words.

    All images are uint8 (N, 28, 28). `calibration`, for int8, sets the ranges of activations. Raises BadInput where a
    form is too far from its model.
    """
    forms, differences = {}, {}
    for name, model in models.items():
        if variant.weights == "int8" and name not in QUANTIZED:
            continue
        form = model if variant.batch is None else with_fixed_sizes(model, variant.batch)
        if variant.weights == "float16":
            form = with_half_weights(form)
        elif variant.weights == "int8":
            assert calibration is not None
            form = with_int8_weights(form, calibration)
        try:
            agreement = compare(model, form, digits, MAX_DIFFERENCE[variant.weights])
        except ParityError as error:
            raise BadInput(f"{name}: as {variant.weights} it differs too much ({error}); use it as it is") from error
        forms[name], differences[name] = form, agreement.sentence()
    return forms, differences
