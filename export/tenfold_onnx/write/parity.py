"""An exported model counts only after this: onnxruntime and torch must give the same answers."""

from __future__ import annotations

from copy import deepcopy
from typing import Any, Final

import numpy as np
import onnxruntime as ort
import torch

from tenfold_onnx.contract import CLASSES, SIDE
from tenfold_onnx.write.graphs import Drawing, Ensemble

BATCHES: Final = (1, 2, 7, 64)
PROBABILITY_TOLERANCE: Final = 1e-5
ROUNDINGS: Final = 8  # times torch's own float32 rounding, where that is the larger: nets far from trained
GREY_TOLERANCE: Final = 1  # grey levels: a value on the edge may round either way


class ParityError(RuntimeError):
    """The exported model does not do what the trained one does."""


@torch.inference_mode()
def check_classifier(module: Ensemble, model: bytes) -> None:
    """Compare on batches of random strokes. Raises ParityError.

    The yardstick is torch in float64, so that the processor's order of summing decides nothing.
    """
    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(0)
    exact_module = deepcopy(module).double()
    for batch in BATCHES:
        images = (rng.random((batch, SIDE, SIDE)) ** 4 * 255).astype(np.uint8)
        probabilities, labels = session.run(["probabilities", "label"], {"images": images})
        rounded, expected_labels = (part.numpy() for part in module(torch.from_numpy(images)))
        exact = exact_module.probabilities(torch.from_numpy(images).double().div(255).unsqueeze(1)).numpy()
        tolerance = max(PROBABILITY_TOLERANCE, ROUNDINGS * np.abs(rounded - exact).max())
        gap = np.abs(probabilities - exact).max()
        if not gap <= tolerance:
            raise ParityError(f"classifier, batch {batch}: probabilities differ by {gap:.2g}, above {tolerance:.2g}")
        top_two = np.sort(exact, axis=1)[:, -2:]
        clear = top_two[:, 1] - top_two[:, 0] > 2 * tolerance  # a tie may fall either way
        if (labels != expected_labels)[clear].any():
            raise ParityError(f"classifier, batch {batch}: labels differ")


@torch.inference_mode()
def check_generator(module: Drawing, z_dim: int, model: bytes) -> None:
    """Compare on batches of random z and labels. Raises ParityError."""
    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(0)
    for batch in BATCHES:
        inputs: dict[str, Any] = {
            "z": rng.standard_normal((batch, z_dim), dtype=np.float32),
            "labels": rng.integers(0, CLASSES, batch),
        }
        images = session.run(["images"], inputs)[0]
        expected = module(*(torch.from_numpy(value) for value in inputs.values())).numpy()
        gap = np.abs(images.astype(int) - expected.astype(int)).max()
        if gap > GREY_TOLERANCE:
            raise ParityError(f"generator, batch {batch}: images differ by {gap} grey levels")
