"""Images as people hand them over: arrays of several shapes and types, or rows of Kaggle's CSVs."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from digit_recognizer.rows import PIXELS
from tenfold.data.digits import SIDE
from tenfold.errors import BadInput


def to_images(pixels: Any) -> npt.NDArray[np.uint8]:
    """Images uint8 (N, 28, 28) from one image (28, 28), from (N, 28, 28), or from rows of pixels (N, 784) or (784,).

    Takes arrays, nested lists, and DataFrames: of Kaggle's train.csv, for example, whose column `label` is left out.
    The values are integers from 0 (background) to 255, of any number type. Raises BadInput.
    """
    if hasattr(pixels, "columns") and set(PIXELS) <= set(pixels.columns):  # a DataFrame
        pixels = pixels[list(PIXELS)]
    try:
        array = np.asarray(pixels)
    except ValueError as error:  # nested lists of unequal lengths
        raise BadInput(f"images: must be an array of numbers ({error})") from error
    if array.shape == (SIDE, SIDE) or array.shape == (SIDE * SIDE,):
        array = array[None]
    if array.shape[1:] not in ((SIDE, SIDE), (SIDE * SIDE,)):
        raise BadInput(f"images: must be (28, 28), (N, 28, 28) or (N, 784), got {array.shape}")
    return np.ascontiguousarray(_to_bytes(array).reshape(-1, SIDE, SIDE))


def _to_bytes(array: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    if array.dtype == np.uint8:
        return array
    if array.dtype.kind not in "iuf":
        raise BadInput(f"images: must be numbers, got {array.dtype}")
    low, high = (array.min(), array.max()) if array.size else (0, 0)
    bytes_ = array.astype(np.uint8) if 0 <= low <= high <= 255 else None  # NaN is in no range
    scaled = array.dtype.kind == "f" and 0 < high <= 1
    if bytes_ is None or scaled or (bytes_ != array).any():
        fix = "; multiply by 255 and round" if 0 <= low <= high <= 1 else ""
        raise BadInput(f"images: must be integers from 0 to 255, got {array.dtype} from {low:g} to {high:g}{fix}")
    return bytes_
