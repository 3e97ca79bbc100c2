"""What goes into the models and what comes out: the one place where files, names, types and shapes are settled.

classifier.onnx, classifier_light.onnx
    images uint8 (N, 28, 28), 0 = background -> probabilities float32 (N, 10), label int64 (N,)
classifier_explain.onnx
    the same, and after each convolution activation_1, activation_2, ... float32 (N, channels, side, side)
classifier_canvas.onnx
    drawings uint8 (N, H, W), any size, dark on light or light on dark
    -> probabilities float32 (N, 10), label int64 (N,) with -1 where there is no digit,
       seen uint8 (N, 28, 28): the drawing as the net sees it, ink float32 (N,): share of the drawing that is ink
generator.onnx
    z float32 (N, Z) standard normal, labels int64 (N,) in 0..9 -> images uint8 (N, 28, 28)
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

CONTRACT_VERSION: Final = "1"
OPSET: Final = 20
SIDE: Final = 28
CLASSES: Final = 10
LEAST_INK: Final = 0.0008  # share of a drawing: below it is blank, or a speck
LEAST_EXTENT: Final = 0.1  # a digit's longer side as a share of the drawing's: below it is a dot
MOST_SEEN: Final = 0.45  # share of inked pixels among the 28x28 that the net sees: above it is a blot
# Much ink and many steps from black to white between neighbouring pixels are noise, either alone is not. The three
# are set on Kaggle's 42,000 training digits: none of them is a blot by these, nine are noise; of noise, 99.8 %.
NOISE_SEEN: Final = 0.34  # share of inked pixels
NOISE_EDGES: Final = 140.0  # steps from black to white
MOST_PIXELS: Final = 4096  # of a drawing's side
NO_DIGIT: Final = -1  # the label where none can be given

CLASSIFIER_ONNX: Final = "classifier.onnx"
LIGHT_ONNX: Final = "classifier_light.onnx"
CANVAS_ONNX: Final = "classifier_canvas.onnx"
EXPLAIN_ONNX: Final = "classifier_explain.onnx"
GENERATOR_ONNX: Final = "generator.onnx"

CLASSIFIER_INPUTS: Final = ("images",)
CLASSIFIER_OUTPUTS: Final = ("probabilities", "label")
ACTIVATION: Final = "activation_"  # and a number from 1
CANVAS_INPUTS: Final = ("drawings",)
CANVAS_OUTPUTS: Final = ("probabilities", "label", "seen", "ink")
GENERATOR_INPUTS: Final = ("z", "labels")
GENERATOR_OUTPUTS: Final = ("images",)


class BadInput(ValueError):
    """Something handed to the runtime breaks the contract; the message says what, where and the mend."""


def checked_images(images: npt.ArrayLike) -> npt.NDArray[np.uint8]:
    """Images as the classifier takes them, uint8 (N, 28, 28); one image (28, 28) becomes a batch of one."""
    array = _bytes(images, "images")
    if array.ndim != 3 or array.shape[1:] != (SIDE, SIDE):
        raise BadInput(f"images: have shape {array.shape} where (N, 28, 28) belongs; reshape or resize them")
    return np.ascontiguousarray(array)


def checked_drawings(drawings: npt.ArrayLike) -> npt.NDArray[np.uint8]:
    """Drawings as the canvas classifier takes them, uint8 (N, H, W); one drawing (H, W) becomes a batch of one."""
    array = _bytes(drawings, "drawings")
    if array.ndim != 3 or min(array.shape[1:]) < 2:
        raise BadInput(f"drawings: have shape {array.shape} where (N, H, W) belongs; make them grey, one channel")
    if max(array.shape[1:]) > MOST_PIXELS:
        raise BadInput(f"drawings: have shape {array.shape}; scale them to at most {MOST_PIXELS} pixels a side")
    return np.ascontiguousarray(array)


def _bytes(values: npt.ArrayLike, name: str) -> npt.NDArray[np.uint8]:
    """As uint8, a single picture as a batch of one."""
    array = np.asarray(values)
    if array.dtype != np.uint8:
        raise BadInput(f"{name}: are {array.dtype} where uint8 0..255 belongs; scale and cast them")
    return array[None] if array.ndim == 2 else array


def checked_labels(labels: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Labels as the generator takes them, int64 (N,) in 0..9; a single number becomes a batch of one."""
    array = np.atleast_1d(np.asarray(labels))
    if array.size == 0:
        return np.empty(0, dtype=np.int64)
    if not np.issubdtype(array.dtype, np.integer) or array.ndim != 1:
        raise BadInput(f"labels: are {array.dtype} {array.shape} where whole numbers (N,) belong")
    if array.min() < 0 or array.max() >= CLASSES:
        wrong = array[(array < 0) | (array >= CLASSES)][0]
        raise BadInput(f"labels: hold {wrong}, and only the digits 0..9 can be asked for")
    return array.astype(np.int64)


def checked_share(share: Any, name: str) -> float:
    """A number from 0 to 1."""
    if isinstance(share, bool) or not isinstance(share, (int, float, np.number)) or not 0 <= share <= 1:
        raise BadInput(f"{name}: is {share!r} where a number from 0 to 1 belongs")
    return float(share)


def checked_seed(seed: Any) -> int:
    """A seed as numpy takes it: a whole number from 0."""
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise BadInput(f"seed: is {seed!r} where a whole number from 0 belongs")
    return int(seed)
