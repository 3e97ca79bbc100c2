"""Arrays as people hand them to the models: what is usable becomes the contract's, the rest one sentence."""

from __future__ import annotations

import os
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from tenfold_onnx.contract import CLASSES, END_OF_BETWEEN, FIRST_BETWEEN, MAX_SIDE, SIDE, BadInput
from tenfold_onnx.printable import first_line

PIXELS: Final = SIDE * SIDE
KAGGLE_COLUMNS: Final = tuple(f"pixel{index}" for index in range(PIXELS))  # of the competition's CSVs
MAX_CHANNELS: Final = 4  # a last axis this short holds a picture's channels: no drawing of a digit is so narrow


def validated_images(images: Any) -> npt.NDArray[np.uint8]:
    """Images uint8 (N, 28, 28) for the classifier, from (N, 28, 28) or (28, 28), or rows of pixels (N, 784) or (784,).

    Takes arrays, tensors in the processor's memory, nested lists, and DataFrames: of Kaggle's train.csv, for example,
    whose column `label` is left out. The values are integers from 0 to 255, of any number type. Raises BadInput.
    """
    array = _pixels(images, "images")
    if array.shape == (0,):  # an empty list
        return np.empty((0, SIDE, SIDE), np.uint8)
    batch = array[None] if array.shape in ((SIDE, SIDE), (PIXELS,)) else array
    if batch.shape[1:] not in ((SIDE, SIDE), (PIXELS,)):
        raise BadInput(
            f"images: must be ({SIDE}, {SIDE}), (N, {SIDE}, {SIDE}) or (N, {PIXELS}), got {array.shape}"
            f"{_image_fix(array.shape)}"
        )
    return np.ascontiguousarray(_to_bytes(batch, "images").reshape(-1, SIDE, SIDE))


def validated_drawings(drawings: Any) -> npt.NDArray[np.uint8]:
    """Drawings uint8 (N, H, W) for the canvas classifier; one drawing (H, W) becomes a batch of one. Raises BadInput.

    Takes the values that `validated_images` takes, but rows of pixels only in a DataFrame with Kaggle's columns. H and
    W are from 2 to MAX_SIDE. A batch whose last axis is at most MAX_CHANNELS long is refused as a colour picture.
    """
    array = _pixels(drawings, "drawings")
    if array.shape == (0,):
        return np.empty((0, SIDE, SIDE), np.uint8)
    if array.ndim == 2 and (_is_table(drawings) or array.shape[1] == PIXELS != len(array)):
        raise BadInput(
            f"drawings: {array.shape} may be rows of pixels; give them as .reshape(-1, {SIDE}, {SIDE}), a drawing as "
            "(1, H, W)"
        )
    batch = array[None] if array.ndim == 2 else array
    fix = _channel_fix(array.shape)
    if batch.ndim != 3 or min(batch.shape[1:]) < 2 or max(batch.shape[1:]) > MAX_SIDE or fix:
        raise BadInput(
            f"drawings: must be (H, W) or (N, H, W), one grey channel, H and W from 2 to {MAX_SIDE}, "
            f"got {array.shape}{fix}"
        )
    return np.ascontiguousarray(_to_bytes(batch, "drawings"))


def validated_labels(labels: Any) -> npt.NDArray[np.int64]:
    """Labels int64 (N,) for the generator, in 0..9 or between two digits; one integer becomes a batch of one.

    Raises BadInput.
    """
    array = np.atleast_1d(_as_array(labels, "labels"))
    if array.size == 0:
        return np.empty(0, dtype=np.int64)
    if array.dtype.kind not in "iu" or array.ndim != 1:
        raise BadInput(f"labels: must be integers (N,), got {array.dtype} {array.shape}")
    between = (array >= FIRST_BETWEEN) & (array < END_OF_BETWEEN)
    outside = array[((array < 0) | (array >= CLASSES)) & ~between]
    if outside.size:
        raise BadInput(f"labels: must be digits 0..9, got {outside[0]}")
    return array.astype(np.int64)


def labels_between(start: int, end: int, share: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Labels int64 (N,) for shares (N,) in [0, 1] of the way from the digit `start` to the digit `end`.

    The generator mixes the class embeddings of both. Shares are rounded to thousandths. A share of 0 gives the label
    `start`, a share of 1 gives `end`. Raises BadInput.
    """
    first, last = validated_labels([start, end])
    shares = np.atleast_1d(_as_array(share, "share"))
    if shares.dtype.kind not in "iuf" or not ((shares >= 0) & (shares <= 1)).all():  # false for NaN
        raise BadInput("share: must be numbers from 0 to 1")
    thousandths = np.rint(shares.astype(np.float64) * 1000).astype(np.int64)
    return np.select(
        [thousandths == 0, thousandths == 1000], [first, last], first + 10 * last + FIRST_BETWEEN * thousandths
    )


def validated_latent(z: Any, shape: tuple[int, int]) -> npt.NDArray[np.float32]:
    """Latent vectors float32 of this shape (N, z_dim). Raises BadInput."""
    latent = _as_array(z, "z")
    if latent.dtype.newbyteorder("=") != np.float32 or latent.shape != shape:
        fix = "; convert it with np.asarray(z, np.float32)" if latent.shape == shape else ""
        raise BadInput(f"z: must be float32 {shape}, got {latent.dtype} {latent.shape}{fix}")
    if not np.isfinite(latent).all():
        raise BadInput("z: must be finite numbers, got NaN or infinity")
    return np.ascontiguousarray(latent, np.float32)


def _pixels(images: Any, name: str) -> npt.NDArray[Any]:
    """An array of numbers; (N, 28, 28) where the columns of a DataFrame are Kaggle's. Raises BadInput."""
    if isinstance(images, str | bytes | bytearray | os.PathLike):
        raise BadInput(
            f"{name}: must be an array of numbers, got {type(images).__name__}; read a picture's file with "
            "tenfold_onnx.images.read_image"
        )
    if _is_table(images) and set(KAGGLE_COLUMNS) <= set(images.columns):
        rows = _as_array(images[list(KAGGLE_COLUMNS)], name)
        array = rows.reshape(-1, SIDE, SIDE) if rows.shape[1:] == (PIXELS,) else rows  # a column may occur twice
    else:
        array = _as_array(images, name)
    if array.dtype.kind not in "iuf" and array.size:
        fix = {"b": "; multiply them by 255", "O": "; convert them with .astype('uint8')"}.get(array.dtype.kind, "")
        raise BadInput(f"{name}: must be numbers, got {array.dtype}{fix}")
    return array


def _is_table(images: Any) -> bool:
    """Whether it is a DataFrame, of pandas or of another library."""
    return hasattr(images, "columns")


def _as_array(value: Any, name: str) -> npt.NDArray[Any]:
    if np.ma.is_masked(value):
        raise BadInput(f"{name}: has masked values; fill them, for example with .filled(0)")
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise BadInput(f"{name}: must be an array of numbers, got lists or arrays of unequal lengths") from error
    except (TypeError, RuntimeError) as error:  # a tensor on a GPU, for example; torch says how to fix that
        raise BadInput(f"{name}: must be an array of numbers ({first_line(error)})") from error
    if array.dtype.kind == "O" and array.ndim < 2:
        fix = "; np.stack joins several arrays" if array.ndim else ""
        raise BadInput(f"{name}: must be an array of numbers, got {type(value).__name__}{fix}")
    return array


def _to_bytes(array: npt.NDArray[Any], name: str) -> npt.NDArray[np.uint8]:
    """The same values as uint8; none may change. Raises BadInput."""
    if array.dtype == np.uint8 or array.size == 0:
        return array.astype(np.uint8, copy=False)
    low, high = array.min(), array.max()
    in_range = bool(0 <= low <= high <= 255)  # NaN is in no range
    if in_range and not (array.dtype.kind == "f" and 0 < high <= 1):
        levels = array.astype(np.uint8)
        if (levels == array).all():
            return levels
    fix = "scale them to that range and round"
    if in_range:
        fix = "multiply by 255 and round" if high <= 1 else "round them"
    elif np.isnan(low):
        fix = "replace NaN"
    raise BadInput(f"{name}: must be integers from 0 to 255, got {array.dtype} from {low:g} to {high:g}; {fix}")


def _image_fix(shape: tuple[int, ...]) -> str:
    """How to make images of an array of another shape."""
    if fix := _channel_fix(shape):
        return fix
    if shape[-1:] == (PIXELS + 1,):
        return "; leave out the column of labels"
    return "; CanvasClassifier reads other sizes" if len(shape) in (2, 3) and min(shape) > 1 else ""


def _channel_fix(shape: tuple[int, ...]) -> str:
    """How to make a picture with an axis of channels grey; empty where there is no such axis."""
    if len(shape) not in (3, 4):
        return ""
    if shape[-1] <= MAX_CHANNELS:
        return "; take its one channel, [..., 0]" if shape[-1] == 1 else f"; {_MAKE_GREY}"
    if len(shape) == 4 and shape[1] <= MAX_CHANNELS:
        return "; take its one channel, [:, 0]" if shape[1] == 1 else f"; {_MAKE_GREY}"
    return ""


_MAKE_GREY: Final = "a colour picture must be made grey first, for example by Pillow's image.convert('L')"
