"""Drawings made from test digits: placed, scaled, stretched and thickened at random on large canvases."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

SIDE: Final = 280
BASE: Final = 140  # side of a 28x28 digit at scale 1


def draw(images: npt.NDArray[np.uint8], seed: int) -> npt.NDArray[np.uint8]:
    """Each of `images` uint8 (N, 28, 28) on its own canvas, uint8 (N, 280, 280), every other one dark on light.

    Scale 0.5 to 2, height and width stretched separately by up to 15 %, strokes thickened by up to 8 pixels; the
    digit lies anywhere on the canvas.
    """
    rng = np.random.default_rng(seed)
    canvases = np.zeros((len(images), SIDE, SIDE), np.uint8)
    for canvas, image in zip(canvases, images, strict=True):
        size = BASE * np.exp(rng.uniform(np.log(0.5), np.log(2)))
        height, width = (int(np.clip(size * np.exp(rng.uniform(-0.15, 0.15)), 60, SIDE)) for _ in range(2))
        large = Image.fromarray(image).resize((width, height), Image.Resampling.BICUBIC)
        thicker = 2 * int(rng.integers(0, 5)) + 1  # 1 leaves the strokes unchanged
        large = large.filter(ImageFilter.MaxFilter(min(thicker, 2 * int(size / 60) + 1)))
        top, left = rng.integers(0, SIDE - height + 1), rng.integers(0, SIDE - width + 1)
        canvas[top : top + height, left : left + width] = np.asarray(large)
    canvases[1::2] = 255 - canvases[1::2]
    return canvases


def measure(session: Any, images: npt.NDArray[np.uint8], labels: npt.NDArray[np.int64], seed: int) -> dict[str, Any]:
    """Accuracy of a canvas classifier's session on drawings of `images`; its answers to empty canvases and to noise."""
    predicted = [
        session.run(["label"], {"drawings": draw(images[part : part + 100], seed + part)})[0]
        for part in range(0, len(images), 100)
    ]
    blank, dot, full = np.zeros((3, SIDE, SIDE), np.uint8)
    y, x = np.mgrid[:SIDE, :SIDE]
    dot[(y - 90) ** 2 + (x - 160) ** 2 < 12**2] = 255
    full[:] = 255
    no_digit = session.run(["label"], {"drawings": np.stack([blank, dot, full])})[0]
    noise = np.random.default_rng(seed).integers(0, 256, (1000, 28, 28), dtype=np.uint8)
    confidence = session.run(["probabilities"], {"drawings": noise})[0].max(1)
    return {
        "drawings": len(images),
        "accuracy": round(float((np.concatenate(predicted) == labels).mean()), 4),
        "no_digit": dict(zip(("blank", "dot", "full"), no_digit.tolist(), strict=True)),
        "noise_below_half": round(float((confidence < 0.5).mean()), 3),
    }
