"""Pictures that show no single digit: letters, words, numbers, scribbles, drawings, textures, empty paper.

None of them is made as the training's own are (`tenfold.data.non_digits`): the letters are of handwriting fonts that
you give, such as `npm pack @fontsource/caveat` has. Everything is drawn from a seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from benchmarks.pictures import Grey, draw, ramp, shadow, strokes
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import gaussian_filter

from tenfold_onnx import BadInput, CanvasClassifier

KINDS: Final = ("letter", "word", "number", "scribble", "drawing", "texture", "empty paper")
# Without those that many people write as they write a digit.
LETTERS: Final = "ACEFHJKLMNPRTUVWXYacdefhkmnprtuvwxy"
ENDINGS: Final = (".ttf", ".otf", ".woff")
THRESHOLDS: Final = (0.5, 0.7, 0.9, 0.99)  # of the highest probability; what the model itself rejects is not answered
# Polylines on a square of 1, closed where the first point comes again.
DRAWINGS: Final = (
    ((0.1, 1), (0.1, 0.45), (0.5, 0.05), (0.9, 0.45), (0.9, 1), (0.1, 1), (0.1, 0.45), (0.9, 0.45)),  # house
    ((0.2, 0.95), (0.5, 0.05), (0.8, 0.95), (0.05, 0.38), (0.95, 0.38), (0.2, 0.95)),  # star
    ((0.05, 0.5), (0.95, 0.5), (0.65, 0.2), (0.95, 0.5), (0.65, 0.8)),  # arrow
    ((0.1, 0.6), (0.4, 0.9), (0.95, 0.1)),  # tick
    ((0.1, 0.1), (0.9, 0.9), (0.5, 0.5), (0.9, 0.1), (0.1, 0.9)),  # cross
    ((0.05, 0.95), (0.5, 0.05), (0.95, 0.95), (0.05, 0.95)),  # triangle
    ((0.1, 0.1), (0.9, 0.1), (0.9, 0.9), (0.1, 0.9), (0.1, 0.1), (0.9, 0.9)),  # square with its diagonal
    ((0.05, 0.6), (0.25, 0.3), (0.4, 0.7), (0.6, 0.3), (0.75, 0.7), (0.95, 0.4)),  # zigzag
)


def measure(
    classifier: CanvasClassifier,
    images: npt.NDArray[np.uint8],
    labels: npt.NDArray[np.int64],
    fonts: Path,
    each: int,
) -> dict[str, Any]:
    """By kind, the share of pictures that are answered with at least each probability, and that of digits (N, 28, 28).

    `wrong` is the number of wrong answers among those of digits, of which there are five times as many.
    """
    faces = sorted(file for file in fonts.rglob("*") if file.suffix in ENDINGS)
    if not faces:
        raise BadInput(f"{fonts}: has no fonts ({', '.join(ENDINGS)})")
    answered = {}
    for number, kind in enumerate(KINDS):
        rng = np.random.default_rng([number, each, 1])
        pictures = (no_digit(kind, rng, images, faces) for _ in range(each))
        highest = np.array([_highest(classifier, picture)[1] for picture in pictures])
        answered[kind] = [round(float((highest >= least).mean()), 4) for least in THRESHOLDS]
    rng = np.random.default_rng([each, 2])
    rows = rng.choice(len(images), 5 * each, replace=False)
    read = [_highest(classifier, draw(images[row], "several of these", rng)) for row in rows]
    right, highest = np.array([label for label, _ in read]) == labels[rows], np.array([p for _, p in read])
    answered["digits"] = [round(float((highest >= least).mean()), 4) for least in THRESHOLDS]
    wrong = [int(((highest >= least) & ~right).sum()) for least in THRESHOLDS]
    return {"each": each, "thresholds": THRESHOLDS, "answered": answered, "wrong": wrong}


def _highest(classifier: CanvasClassifier, picture: npt.NDArray[np.uint8]) -> tuple[int, float]:
    """The label, and the highest probability; 0 where the model itself says that there is no digit."""
    answer = classifier.predict(picture[None])  # not rows of pixels, however wide
    label = int(answer.label[0])
    return label, float(answer.probabilities.max()) if label >= 0 else 0.0


def no_digit(
    kind: str, rng: np.random.Generator, images: npt.NDArray[np.uint8], fonts: Sequence[Path]
) -> npt.NDArray[np.uint8]:
    """A picture of a kind, uint8 (H, W): dark on light paper, lit unevenly; `images` are digits for numbers."""
    side = int(rng.integers(140, 500))
    if kind == "texture":
        grey = _texture(side, rng)
    else:
        paper, pen = rng.uniform(190, 255), rng.uniform(0, 90)
        grey = paper + (pen - paper) * _ink(kind, side, rng, images, fonts)
        grey = grey * ramp(grey, rng, rng.uniform(0.5, 1.0))
        if kind == "empty paper" or rng.random() < 0.3:
            grey = grey * shadow(grey, rng, rng.uniform(0.5, 0.9), rng.uniform(0.05, 0.6))
    grey = grey + gaussian_filter(rng.normal(0, rng.uniform(0, 6), grey.shape), 0.5)
    return np.clip(np.rint(grey), 0, 255).astype(np.uint8)


def _ink(kind: str, side: int, rng: np.random.Generator, images: npt.NDArray[np.uint8], fonts: Sequence[Path]) -> Grey:
    """Ink in [0, 1]; a number or a word is wider than high."""
    if kind == "number":
        return _number([images[rng.integers(len(images))] for _ in range(rng.integers(2, 6))], side, rng)
    if kind in ("letter", "word"):
        text = "".join(rng.choice(list(LETTERS), 1 if kind == "letter" else rng.integers(3, 7)))
        return _written(text, side, fonts[int(rng.integers(len(fonts)))], rng)
    if kind == "scribble":
        steps = np.cumsum(gaussian_filter(rng.normal(0, 1, (int(rng.integers(60, 200)), 2)), (rng.uniform(2, 5), 0)), 0)
        return _line(steps, side, rng)
    if kind == "drawing":
        corners = np.array(DRAWINGS[rng.integers(len(DRAWINGS))])
        return _line(corners + rng.normal(0, 0.02, corners.shape), side, rng)
    return np.zeros((side, side))


def _number(digits: Sequence[npt.NDArray[np.uint8]], side: int, rng: np.random.Generator) -> Grey:
    """Digits in a row, written with one pen."""
    width = rng.uniform(0.02, 0.05) * side
    written = [strokes(digit, rng, width, side // 2, rng.uniform(0.75, 0.9), margin=0.03) for digit in digits]
    row = np.concatenate([_without_margin(ink) for ink in written], 1)
    pad = int(rng.uniform(0.05, 0.2) * side)
    ink: Grey = np.pad(row, ((pad, pad), (pad, pad)))
    return ink


def _without_margin(ink: Grey) -> Grey:
    """A digit with a little room to its left and right, at its height."""
    columns = np.flatnonzero(ink.any(0))
    room = max(2, int(0.06 * len(ink)))
    return np.pad(ink[:, columns[0] : columns[-1] + 1], ((0, 0), (room, room)))


def _written(text: str, side: int, font: Path, rng: np.random.Generator) -> Grey:
    face = ImageFont.truetype(font, int(side * rng.uniform(0.3, 0.7)))
    left, top, right, bottom = face.getbbox(text)
    pad = int(rng.uniform(0.1, 0.3) * side)
    page = Image.new("L", (int(right - left) + 2 * pad, int(bottom - top) + 2 * pad))
    ImageDraw.Draw(page).text((pad - left, pad - top), text, 255, face)
    turned = page.rotate(rng.uniform(-8, 8), Image.Resampling.BILINEAR)
    return np.asarray(turned) / 255


def _line(points: npt.NDArray[np.float64], side: int, rng: np.random.Generator) -> Grey:
    """A line through points (K, 2) of any scale."""
    points = points - points.min(0)
    points = (points / points.max() * rng.uniform(0.4, 0.7) + 0.15) * side
    page = Image.new("L", (side, side))
    ImageDraw.Draw(page).line([tuple(p) for p in points.tolist()], 255, int(side * rng.uniform(0.02, 0.06)), "curve")
    return np.asarray(page) / 255


def _texture(side: int, rng: np.random.Generator) -> Grey:
    """Clouds, stripes or a chequered cloth."""
    y, x = np.mgrid[:side, :side] / side
    kind = rng.integers(4)
    if kind == 0:
        clouds = gaussian_filter(rng.normal(0, 1, (side, side)), rng.uniform(0.01, 0.15) * side)
        return 128 + 60 * clouds / clouds.std()
    waves = [np.sin(2 * np.pi * rng.uniform(2, 15) * (x * np.cos(a) + y * np.sin(a))) for a in rng.uniform(0, np.pi, 2)]
    if kind == 1:
        return 128 + 90 * waves[0]
    if kind == 2:
        return 128 + 90 * waves[0] * waves[1]
    return 128 + 90 * np.sign(waves[0] * waves[1])
