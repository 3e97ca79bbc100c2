"""What the models take and return: the one place for file names, input and output names, dtypes, shapes and limits.

classifier.onnx, classifier_light.onnx
    images uint8 (N, 28, 28), 0 = background -> probabilities float32 (N, 10), label int64 (N,)
classifier_explain.onnx
    the same, and the output of each convolution: activation_1, activation_2, ... float32 (N, channels, side, side)
classifier_canvas.onnx
    drawings uint8 (N, H, W), any size, dark on light or light on dark
    -> probabilities float32 (N, 10), label int64 (N,) with -1 where there is no single digit,
       seen uint8 (N, 28, 28): the drawing as the net sees it, ink float32 (N,): share of the drawing that is ink,
       verdict int32 (N,): see `Verdict`, parts int32 (N,): how many things stand side by side,
       boxes int32 (N, 16, 4): left, top, right, bottom of the first 16 of them, in pixels, from left to right
generator.onnx
    z float32 (N, Z) standard normal, labels int64 (N,) in 0..9 -> images uint8 (N, 28, 28)
    From version 2 on, a label may also lie between two digits, see `inputs.labels_between`.

From version 3 on, each file ends in the hash of its content, see `content_hash`. From version 4 on, a canvas model
tells why it reads no digit.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final, NamedTuple

# 2 adds labels between two digits to 1; 3 adds the hash of the content to 2; 4 adds verdict, parts and boxes to 3.
CONTRACT_VERSION: Final = "4"
WITHOUT_HASH: Final = ("1", "2")  # versions
# The oldest that the models' operators need, so that runtimes since 2023 load them.
OPSET: Final = 18
IR: Final = 8
SIDE: Final = 28
CLASSES: Final = 10
# Labels between two digits are start + 10 * end + 100 * share, with the share of `end` in thousandths, 1 to 999.
FIRST_BETWEEN: Final = 100
END_OF_BETWEEN: Final = 100_000
NO_DIGIT: Final = -1  # the label where there is no digit to read

# How a drawing becomes the 28x28 image that the net sees.
BOX: Final = 20  # pixels: MNIST scales a digit's longer side to this, then centres its mass in 28x28
INK_THRESHOLD: Final = 0.15  # share of the strongest ink above which a pixel counts as part of the digit
NEAR_BLACK: Final = 32  # grey levels: a 28x28 image on so dark a ground is one of MNIST's kind
MIN_CONTRAST: Final = 16  # grey levels between background and strongest ink; below it a drawing is blank

# When a drawing holds no digit.
MIN_INK: Final = 0.0008  # share of a drawing: below it is blank, or a speck
MIN_EXTENT: Final = 0.1  # a digit's longer side as a share of the drawing's shorter one: below it is a dot
MAX_INKED: Final = 0.45  # share of inked pixels among the 28x28 that the net sees: above it is a blot
MAX_CLUTTER: Final = 0.47  # share of inked cells in the same square before the paper and the rest are taken out
MAX_NOISE: Final = 0.04  # mean distance from a cell to its neighbourhood's mean, as a share of the strongest ink

MIN_LIKENESS: Final = 0.5  # the highest probability: below it the drawing is like no digit
MIN_LIKENESS_IN_PARTS: Final = 0.9  # and below this, if things stand side by side, they are not one digit
MAX_PARTS: Final = 16  # whose boxes are given

MIN_PROBABILITY: Final = 1e-30  # keeps a probability's logarithm finite in float32
MAX_SIDE: Final = 4096  # pixels of a drawing's side

CLASSIFIER_ONNX: Final = "classifier.onnx"
LIGHT_ONNX: Final = "classifier_light.onnx"
CANVAS_ONNX: Final = "classifier_canvas.onnx"
EXPLAIN_ONNX: Final = "classifier_explain.onnx"
GENERATOR_ONNX: Final = "generator.onnx"


class Verdict(IntEnum):
    """What a canvas model makes of a drawing; its label is NO_DIGIT for all but the first."""

    DIGIT = 0
    BLANK = 1  # or a dot, or dark all over; all probabilities are equal
    CLUTTERED = 2  # full of ink or noise; all probabilities are equal
    SEVERAL = 3
    LIKE_NO_DIGIT = 4


class TensorType(NamedTuple):
    """The dtype and shape of an input or output. A name in the shape stands for a size, see ANY_SIZE and LATENT."""

    dtype: str
    shape: tuple[int | str, ...]

    def __str__(self) -> str:
        return f"{self.dtype} ({', '.join(map(str, self.shape))}{',' * (len(self.shape) == 1)})"


ANY_SIZE: Final = ("N", "H", "W")  # sizes that a model must leave open
LATENT: Final = "Z"  # the size that a generator must declare, since its latent vectors are drawn outside
ACTIVATION: Final = "activation_"  # followed by the layer's number, from 1
ACTIVATION_TYPE: Final = TensorType("float32", ("N", "channels", "side", "side"))
IMAGES: Final = TensorType("uint8", ("N", SIDE, SIDE))

CLASSIFIER_INPUTS: Final = {"images": IMAGES}
CLASSIFIER_OUTPUTS: Final = {
    "probabilities": TensorType("float32", ("N", CLASSES)),
    "label": TensorType("int64", ("N",)),
}
EXPLAIN_OUTPUTS: Final = CLASSIFIER_OUTPUTS | {f"{ACTIVATION}1": ACTIVATION_TYPE}
CANVAS_INPUTS: Final = {"drawings": TensorType("uint8", ("N", "H", "W"))}
CANVAS_OUTPUTS: Final = CLASSIFIER_OUTPUTS | {
    "seen": IMAGES,
    "ink": TensorType("float32", ("N",)),
    "verdict": TensorType("int32", ("N",)),  # int32: tract cannot return an int64 that was cast
    "parts": TensorType("int32", ("N",)),
    "boxes": TensorType("int32", ("N", MAX_PARTS, 4)),
}
GENERATOR_INPUTS: Final = {"z": TensorType("float32", ("N", LATENT)), "labels": TensorType("int64", ("N",))}
GENERATOR_OUTPUTS: Final = {"images": IMAGES}


class BadInput(ValueError):
    """An input that breaks the contract; the message says where, what is wrong and how to fix it."""
