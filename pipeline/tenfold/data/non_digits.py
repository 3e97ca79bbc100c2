"""Images of no digit, to learn from that not everything is one: letters, scribbles, several digits, pieces of digits.

Outlier exposure: D. Hendrycks, M. Mazeika, T. Dietterich, "Deep Anomaly Detection with Outlier Exposure", ICLR 2019.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageDraw, ImageFont

from tenfold.data.digits import Digits
from tenfold.data.warp import warped
from tenfold.settings import Warp
from tenfold_onnx.contract import BOX, SIDE
from tenfold_onnx.write.preparation import FINE, as_in_mnist

# Not O, o, I, l, Z, z, S, s, B, b, G, g, q, i and j, which many people write as they write a digit.
LETTERS: Final = "ACDEFHJKLMNPQRTUVWXYacdefhkmnprtuvwxy&@?#%$=+<>*"
FONTS: Final = (
    *("DejaVuSans", "DejaVuSans-Oblique", "DejaVuSansMono", "DejaVuSerif", "DejaVuSerif-Italic"),
    *("cmr10", "cmss10", "cmtt10", "cmmi10", "STIXGeneral", "STIXGeneralItalic"),
)
PAGE: Final = 112  # pixels: side of the square on which strokes are drawn
BENT: Final = Warp(rotation_deg=10, shear_deg=15, scale=0.15, shift_px=0, elastic_px=1.5)

Grey = npt.NDArray[np.uint8]


def non_digits(n: int, digits: Digits, seed: int) -> Grey:
    """`n` images uint8 (n, 28, 28), light on dark and placed as in MNIST, some of them made from `digits`.

    Half of them are letters and signs; the others are scribbles, polygons and several digits.
    """
    rng = np.random.default_rng(seed)
    kinds = (_letter, _scribble, _letter, _polygon, _letter, _several)
    images = np.stack([placed(kinds[index % len(kinds)](digits, rng)) for index in range(n)])
    ink = torch.from_numpy(images).unsqueeze(1).float().div(255)
    bent = warped(ink, BENT, torch.Generator().manual_seed(seed))
    return as_in_mnist(bent).squeeze(1).mul(255).round().to(torch.uint8).numpy()


def placed(ink: Grey) -> Grey:
    """Ink (H, W) on a square of 56x56: its longer side 40 pixels, its centre of mass in the middle."""
    box = Image.fromarray(_trimmed(ink))
    scale = FINE * BOX / SIDE / max(box.size)
    small = np.asarray(box.resize([max(1, round(side * scale)) for side in box.size], Image.Resampling.BOX))
    image = np.zeros((FINE, FINE), np.uint8)
    place = []
    for axis, length in enumerate(small.shape):
        mass = small.sum(1 - axis, dtype=np.float64)
        centre = float(mass @ (np.arange(length) + 0.5) / mass.sum())
        first = int(np.clip(round(FINE / 2 - centre), 0, FINE - length))
        place.append(slice(first, first + length))
    image[tuple(place)] = small
    return image


def _letter(_: Digits, rng: np.random.Generator) -> Grey:
    page = Image.new("L", (PAGE, PAGE))
    font = _font(str(rng.choice(FONTS)))
    letter = str(rng.choice(list(LETTERS)))
    ImageDraw.Draw(page).text(
        (PAGE / 2, PAGE / 2), letter, 255, font, "mm", stroke_width=int(rng.integers(0, 3)), stroke_fill=255
    )
    return np.asarray(page)


@cache
def _font(name: str) -> Any:
    import matplotlib

    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / f"{name}.ttf", PAGE * 0.7)


def _scribble(_: Digits, rng: np.random.Generator) -> Grey:
    """One to three smooth curves."""
    page = Image.new("L", (PAGE, PAGE))
    for _stroke in range(int(rng.integers(1, 4))):
        _stroke_through(page, _curve(_spread(int(rng.integers(4, 9)), rng)), rng)
    return np.asarray(page)


def _polygon(_: Digits, rng: np.random.Generator) -> Grey:
    """Straight lines: open or closed, some of them crossed."""
    page = Image.new("L", (PAGE, PAGE))
    corners = _spread(int(rng.integers(3, 7)), rng)
    closed = rng.random() < 0.5
    _stroke_through(page, np.concatenate([corners, corners[:1]]) if closed else corners, rng)
    if rng.random() < 0.3:
        _stroke_through(page, _spread(2, rng), rng)
    return np.asarray(page)


def _spread(n: int, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Random points (n, 2) on the page, neither all on a line across nor on one down, which would be a 1."""
    points = rng.uniform(0, 1, (n, 2))
    points = (points - points.min(0)) / np.ptp(points, axis=0)
    return PAGE / 2 + (points - 0.5) * rng.uniform(0.45, 0.9, 2) * PAGE


def _curve(knots: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Points on a smooth curve through knots (K, 2): Catmull and Rom's."""
    ends = np.concatenate([knots[:1], knots, knots[-1:]])
    a, b, c, d = (ends[k : len(ends) - 3 + k, None] for k in range(4))
    t = np.linspace(0, 1, 12)[None, :, None]
    points: npt.NDArray[np.float64] = b + 0.5 * t * (
        c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a))
    )
    return points.reshape(-1, 2)


def _stroke_through(page: Image.Image, points: npt.NDArray[np.float64], rng: np.random.Generator) -> None:
    width = int(rng.integers(4, 11))
    pen = ImageDraw.Draw(page)
    pen.line([tuple(point) for point in points], 255, width, joint="curve")
    for x, y in points[[0, -1]]:
        pen.ellipse((x - width / 2, y - width / 2, x + width / 2, y + width / 2), 255)


def _several(digits: Digits, rng: np.random.Generator) -> Grey:
    """Two to four digits in a row, or two on top of each other."""
    images = [_trimmed(digits.images[rng.integers(len(digits))]) for _ in range(int(rng.integers(2, 5)))]
    upright = rng.random() < 0.85
    if not upright:
        images = images[:2]
    gap = int(rng.integers(0, 6))
    across = [image if upright else image.T for image in images]
    height = max(image.shape[0] for image in across)
    padded = [
        np.pad(image, ((top := (height - image.shape[0]) // 2, height - image.shape[0] - top), (0, gap)))
        for image in across
    ]
    row = np.concatenate(padded, 1)
    return row if upright else row.T


def _trimmed(image: Grey) -> Grey:
    rows, columns = (np.flatnonzero(image.any(axis)) for axis in (1, 0))
    return image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
