"""An exported model counts only after this: onnxruntime and torch must give the same answers."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import onnxruntime as ort
import torch

from tenfold_onnx.contract import CLASSES, SIDE
from tenfold_onnx.write.graphs import Drawing, Ensemble

BATCHES: Final = (1, 2, 7, 64)
PROBABILITY_TOLERANCE: Final = 1e-5
GREY_TOLERANCE: Final = 1  # grey levels: a value on the edge may round either way


class ParityError(RuntimeError):
    """The exported model does not do what the trained one does."""


@torch.inference_mode()
def check_classifier(module: Ensemble, model: bytes) -> None:
    """Compare on batches of random strokes. Raises ParityError."""
    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(0)
    for batch in BATCHES:
        images = (rng.random((batch, SIDE, SIDE)) ** 4 * 255).astype(np.uint8)
        probabilities, labels = session.run(["probabilities", "label"], {"images": images})
        expected, expected_labels = (part.numpy() for part in module(torch.from_numpy(images)))
        gap = np.abs(probabilities - expected).max()
        if not gap <= PROBABILITY_TOLERANCE:
            raise ParityError(f"classifier, batch {batch}: probabilities differ by {gap:.2g}")
        top_two = np.sort(expected, axis=1)[:, -2:]
        clear = top_two[:, 1] - top_two[:, 0] > 2 * PROBABILITY_TOLERANCE  # a tie may fall either way
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
