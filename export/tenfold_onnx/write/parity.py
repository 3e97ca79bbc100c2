"""Parity checks: an exported model ships only if onnxruntime and torch give the same outputs."""

from __future__ import annotations

from copy import deepcopy
from typing import Any, Final

import numpy as np
import onnxruntime as ort
import torch
from torch import Tensor

from tenfold_onnx.contract import CLASSES, FIRST_BETWEEN, SIDE, Verdict
from tenfold_onnx.write.graphs import Canvas, Ensemble, ImageGenerator, Light, WithActivations

BATCHES: Final = (1, 2, 7, 64)
CANVASES: Final = ((1, 28, 28), (2, 280, 280), (7, 33, 190), (5, 5, 8), (3, 200, 31))
PROBABILITY_TOLERANCE: Final = 1e-5
ROUNDINGS: Final = 8  # times torch's own float32 rounding, which is larger for nets far from trained
GREY_TOLERANCE: Final = 1  # grey levels: a value halfway between two may round either way


class ParityError(RuntimeError):
    """The exported model's outputs differ from the trained model's."""


@torch.inference_mode()
def check_classifier(module: Ensemble | Light, model: bytes) -> None:
    """Compare probabilities and labels on batches of random strokes. Raises ParityError.

    The reference is torch in float64, so that the order of summation does not matter.
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
        difference = np.abs(probabilities - exact).max()
        if not difference <= tolerance:
            raise ParityError(
                f"classifier, batch {batch}: probabilities differ by {difference:.2g}, above {tolerance:.2g}"
            )
        top_two = np.sort(exact, axis=1)[:, -2:]
        clear = top_two[:, 1] - top_two[:, 0] > 2 * tolerance  # of a tie, either label is right
        if (labels != expected_labels)[clear].any():
            raise ParityError(f"classifier, batch {batch}: labels differ")


@torch.inference_mode()
def check_activations(module: WithActivations, model: bytes) -> None:
    """Compare probabilities, label and every activation, each relative to its size. Raises ParityError."""
    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(0)
    for batch in BATCHES:
        images = (rng.random((batch, SIDE, SIDE)) ** 4 * 255).astype(np.uint8)
        outputs = session.run(None, {"images": images})
        for node, output, expected in zip(
            session.get_outputs(), outputs, module(torch.from_numpy(images)), strict=True
        ):
            difference = np.abs(output - expected.numpy()).max() / max(1.0, float(expected.abs().max()))
            if not difference <= PROBABILITY_TOLERANCE:
                raise ParityError(f"activations, batch {batch}: {node.name} differs by {difference:.2g}")


@torch.inference_mode()
def check_canvas(module: Canvas, model: bytes) -> None:
    """Compare on sketches of several sizes, polarities and amounts of ink. Raises ParityError.

    A grey level that rounds the other way changes the probabilities, so torch classifies the image that
    onnxruntime saw.
    """
    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    for batch, height, width in CANVASES:
        drawings = sketches(batch, height, width)
        probabilities, label, seen, ink, verdict, parts, boxes = session.run(None, {"drawings": drawings.numpy()})
        expected = [output.numpy() for output in module(drawings)]
        _, expected_label, expected_seen, expected_ink, expected_verdict, expected_parts, expected_boxes = expected
        where = f"canvas classifier, {batch} of {height}x{width}"
        if np.abs(seen.astype(int) - expected_seen.astype(int)).max() > GREY_TOLERANCE:
            raise ParityError(f"{where}: the images that the net sees differ")
        if np.abs(ink - expected_ink).max() > 1e-5 or ((label < 0) != (expected_label < 0)).any():
            raise ParityError(f"{where}: the ink differs")
        if (parts != expected_parts).any() or (boxes != expected_boxes).any():
            raise ParityError(f"{where}: the parts differ")
        if (verdict != expected_verdict).any():
            raise ParityError(f"{where}: the verdicts differ")
        exact = module.classifier(torch.from_numpy(seen))[0].numpy()
        exact[np.isin(verdict, (Verdict.BLANK, Verdict.CLUTTERED))] = 1 / CLASSES
        difference = np.abs(probabilities - exact).max()
        if not difference <= PROBABILITY_TOLERANCE:
            raise ParityError(f"{where}: probabilities differ by {difference:.2g}")


def sketches(batch: int, height: int, width: int) -> Tensor:
    """Seeded drawings uint8 (batch, height, width): first a blank one, then strokes, every other one dark on light."""
    rng = np.random.default_rng(batch * height + width)
    drawings = np.zeros((batch, height, width), np.uint8)
    for drawing in drawings[1:]:
        for _ in range(3):
            (top, bottom), (left, right) = (np.sort(rng.integers(2, side - 2, 2)) for side in (height, width))
            vertical = rng.random() < 0.5
            drawing[top : bottom + 1 if vertical else top + 2, left : left + 2 if vertical else right + 1] = (
                rng.integers(120, 256)
            )
    drawings[1::2] = 255 - drawings[1::2]
    return torch.from_numpy(drawings)


@torch.inference_mode()
def check_generator(module: ImageGenerator, z_dim: int, model: bytes) -> None:
    """Compare images on batches of random z and labels, digits and between two digits. Raises ParityError."""
    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(0)
    for batch in BATCHES:
        labels = rng.integers(0, CLASSES, batch)
        labels[1::2] += 10 * rng.integers(0, CLASSES, batch // 2) + FIRST_BETWEEN * rng.integers(1, 1000, batch // 2)
        inputs: dict[str, Any] = {"z": rng.standard_normal((batch, z_dim), dtype=np.float32), "labels": labels}
        images = session.run(["images"], inputs)[0]
        expected = module(*(torch.from_numpy(value) for value in inputs.values())).numpy()
        difference = np.abs(images.astype(int) - expected.astype(int)).max()
        if difference > GREY_TOLERANCE:
            raise ParityError(f"generator, batch {batch}: images differ by {difference} grey levels")
