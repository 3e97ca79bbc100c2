"""MNIST's placement of a digit, in numpy. `write.graphs.place_digits` is the same as a graph; a test ties the two.

MNIST's digits were scaled into a 20x20 box and centred by mass in 28x28 (Y. LeCun et al., "Gradient-Based Learning
Applied to Document Recognition", 1998).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tenfold_onnx.contract import BOX, INK_THRESHOLD, SIDE


def place_digit(ink: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    """A digit as MNIST would show it, uint8 (28, 28), from ink (H, W) in [0, 1], where 1 is the strongest.

    The digit's longer side becomes 20 pixels, its centre of mass the image's centre, its strongest ink 255.
    No ink gives zeros.
    """
    ink = np.asarray(ink, np.float32)
    scale = max(_extent(ink.max(1)), _extent(ink.max(0)), 1) / BOX  # pixels of `ink` per pixel of the result
    rows = _resampling(_centre_of_mass(ink.sum(1)), scale, ink.shape[0])
    columns = _resampling(_centre_of_mass(ink.sum(0)), scale, ink.shape[1])
    placed = rows @ ink @ columns.T
    return np.rint(placed / max(placed.max(), 1e-6) * 255).astype(np.uint8)


def _extent(ink: npt.NDArray[np.float32]) -> int:
    """Pixels from the first to the last of ink (L,) above the threshold, both counted."""
    (indices,) = np.nonzero(ink > INK_THRESHOLD)
    return int(indices[-1] - indices[0] + 1) if len(indices) else 0


def _centre_of_mass(ink: npt.NDArray[np.float32]) -> float:
    """Of ink (L,): in pixels from the left edge of the first."""
    mass = ink.astype(np.float64)
    return float(mass @ (np.arange(len(mass)) + 0.5)) / max(float(mass.sum()), 1e-6)


def _resampling(centre: float, scale: float, length: int) -> npt.NDArray[np.float64]:
    """The matrix (28, L) that resamples one axis about `centre`, with `scale` pixels per output pixel.

    Its filter is a triangle as wide as the scale asks for, so that no thin stroke is skipped.
    """
    outputs = centre + (np.arange(SIDE) + 0.5 - SIDE / 2) * scale
    distances = np.abs(np.arange(length) + 0.5 - outputs[:, None])
    reach = max(scale, 1.0)
    return np.clip(1 - distances / reach, 0, None) / reach
