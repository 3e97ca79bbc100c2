"""Inputs for a model of any kind, made from digits: to compare two forms of it, or to calibrate one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from tenfold_onnx.contract import CLASSES

CANVAS_SIDE: Final = 280  # pixels of a drawing's side, as on the drawing pages
GENERATED: Final = 64  # images
BATCH: Final = 64

Inputs = dict[str, npt.NDArray[Any]]  # by name, N rows each


def example_inputs(session: ort.InferenceSession, digits: npt.NDArray[np.uint8]) -> Inputs:
    """What the model takes, from images uint8 (N, 28, 28): the images, or drawings of CANVAS_SIDE.

    For a generator, seeded latent vectors and labels.
    """
    first = session.get_inputs()[0]
    if first.name == "z":
        rng = np.random.default_rng(0)
        z = rng.standard_normal((GENERATED, first.shape[1]), dtype=np.float32)
        return {"z": z, "labels": rng.integers(0, CLASSES, GENERATED)}
    if first.name == "drawings":
        scale = CANVAS_SIDE // digits.shape[1]
        return {"drawings": digits.repeat(scale, 1).repeat(scale, 2)}
    return {"images": digits}


def batches(session: ort.InferenceSession, inputs: Inputs) -> Iterator[Inputs]:
    """The inputs, a batch at a time. Where the model fixes its batch, rows from the beginning fill up the last one."""
    fixed = session.get_inputs()[0].shape[0]
    rows = len(next(iter(inputs.values())))
    size = fixed if isinstance(fixed, int) else BATCH
    for start in range(0, rows, size):
        index = np.arange(start, start + size) % rows if isinstance(fixed, int) else slice(start, start + size)
        yield {name: array[index] for name, array in inputs.items()}
