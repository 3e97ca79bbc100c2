"""Pictures as people take them: digits drawn with a pen, lit unevenly, on ruled paper, photographed or scanned.

Each kind of picture has one difficulty, but for the last, which mixes them. The pen follows the centre line of a real
digit, so its width is free. Everything is drawn from a seed.
"""

from __future__ import annotations

import io
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter
from scipy.ndimage import distance_transform_edt, gaussian_filter, label, rotate

from tenfold_onnx import CanvasClassifier

KINDS: Final = (
    *("plain", "thin pen", "marker", "chalk", "coloured paper", "uneven light", "vignette", "shadow", "ruled paper"),
    *("frame", "table", "dust", "noise", "JPEG", "small in a large picture", "cut out tightly", "several of these"),
)
Grey = npt.NDArray[np.float64]  # (H, W), 0 black to 255 white

SURE: Final = 0.9  # probability
TRACED: Final = 168  # side on which a digit's centre line is found
# To the neighbours of a pixel, clockwise from the one above it.
AROUND: Final = ((1, 0), (1, -1), (0, -1), (-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1))


def measure(
    classifier: CanvasClassifier, images: npt.NDArray[np.uint8], labels: npt.NDArray[np.int64], each: int
) -> dict[str, Any]:
    """By kind, the accuracy on `each` pictures and the number of wrong answers above 0.9, of digits (N, 28, 28)."""
    accuracy, sure_and_wrong = {}, {}
    for number, kind in enumerate(KINDS):
        rng = np.random.default_rng([number, each])
        rows = rng.choice(len(images), each, replace=False)
        answers = [classifier.predict(draw(images[row], kind, rng)) for row in rows]
        wrong = np.array([answer.label[0] for answer in answers]) != labels[rows]
        sure = np.array([answer.probabilities.max() for answer in answers]) > SURE
        accuracy[kind], sure_and_wrong[kind] = round(float(1 - wrong.mean()), 4), int((wrong & sure).sum())
    mean = round(float(np.mean(list(accuracy.values()))), 4)
    return {"each": each, "mean": mean, "accuracy": accuracy, "sure_and_wrong": sure_and_wrong}


def draw(image: npt.NDArray[np.uint8], kind: str, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """A digit (28, 28) as a picture of a kind, uint8 (H, W)."""
    several = kind == "several of these"

    def has(one: str, share: float) -> bool:
        return kind == one or (several and rng.random() < share)

    side, pen_share = int(rng.integers(140, 500)), rng.uniform(0.3, 0.85)
    if kind == "small in a large picture":
        side, pen_share = int(rng.integers(400, 1000)), rng.uniform(0.12, 0.3)
    elif kind == "cut out tightly":
        side, pen_share = int(rng.integers(28, 200)), 0.93
    pen_width = side * pen_share * rng.uniform(0.04, 0.14)
    if kind == "thin pen":
        pen_width = rng.uniform(1, 2.5)
    elif kind == "marker":
        pen_width = min(30.0, side * pen_share * rng.uniform(0.12, 0.2))
    ink = strokes(image, rng, pen_width, side, pen_share, margin=0.07 if kind == "frame" else 0.03)
    paper, pen = rng.uniform(215, 255), rng.uniform(0, 80)
    if kind == "chalk":
        paper, pen = rng.uniform(10, 90), rng.uniform(190, 255)
    elif kind == "coloured paper":
        paper = rng.uniform(120, 200)
        pen = paper - rng.uniform(60, 110)
    grey = paper + (pen - paper) * ink
    if has("ruled paper", 0.4):
        grey = ruled(grey, rng)
    if has("dust", 0.4):
        grey = dusty(grey, rng, pen)
    if has("table", 0.3):
        grey = on_a_table(grey, rng)
    if has("uneven light", 0.5):
        grey = grey * ramp(grey, rng, rng.uniform(0.35, 0.8))
    if has("vignette", 0.4):
        grey = grey * corners(grey, rng, rng.uniform(0.35, 0.8))
    if has("shadow", 0.4):
        grey = grey * shadow(grey, rng, rng.uniform(0.55, 0.9), rng.uniform(0.05, 0.6))
    if kind == "frame":
        grey = framed(grey, rng)
    if kind in ("noise", "chalk") or several:
        grey = grey + gaussian_filter(rng.normal(0, rng.uniform(2, 12), grey.shape), 0.5)
    picture = Image.fromarray(np.clip(np.rint(grey), 0, 255).astype(np.uint8))
    if kind == "JPEG" or several:
        out = io.BytesIO()
        picture.save(out, "JPEG", quality=int(rng.integers(25, 80)))
        picture = Image.open(out)
    return np.asarray(picture)


def strokes(
    image: npt.NDArray[np.uint8], rng: np.random.Generator, width: float, side: int, share: float, margin: float
) -> Grey:
    """Ink (side, side) in [0, 1]: the digit drawn with a pen `width` pixels wide, anywhere but near the border.

    Its longer side is `share` of the picture's, its distance from the border at least `margin` of that.
    """
    line = centre_line(image)
    rows, columns = np.nonzero(line)
    points = np.stack([rows, columns], 1).astype(float)
    points -= (points.max(0) + points.min(0)) / 2
    points *= (share * side - width) / np.ptp(points, axis=0).max()
    reach = np.abs(points).max(0) + width / 2 + margin * side
    points += [rng.uniform(least, max(least, side - least)) for least in reach]
    page = Image.new("L", (2 * side, 2 * side))
    pen = ImageDraw.Draw(page)
    index = {place: n for n, place in enumerate(zip(rows.tolist(), columns.tolist(), strict=True))}
    for (row, column), n in index.items():
        for down, right in ((0, 1), (1, 0), (1, 1), (1, -1)):
            neighbour = index.get((row + down, column + right))
            if neighbour is not None:
                pen.line([(2 * points[k][1], 2 * points[k][0]) for k in (n, neighbour)], fill=255)
    half_pixels_away = distance_transform_edt(np.asarray(page) == 0)
    ink: Grey = np.clip(width - half_pixels_away + 0.5, 0, 1).reshape(side, 2, side, 2).mean((1, 3))
    return ink


def centre_line(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """The digit's centre line, bool (168, 168), one pixel wide; small parts of it are left out.

    Thinning: T. Y. Zhang and C. Y. Suen, "A Fast Parallel Algorithm for Thinning Digital Patterns", 1984.
    """
    large = Image.fromarray(image).resize((TRACED, TRACED), Image.Resampling.BICUBIC)
    ink = np.pad(np.asarray(large.filter(ImageFilter.GaussianBlur(1.5))) > 110, 1)
    before = -1
    while before != (before := int(ink.sum())):
        for first in (True, False):
            neighbours = [np.roll(ink, shift, (0, 1)) for shift in AROUND]
            count = np.sum(neighbours, axis=0)
            rises = np.sum([~a & b for a, b in zip(neighbours, [*neighbours[1:], neighbours[0]], strict=True)], axis=0)
            north, east, south, west = neighbours[::2]
            sides = (north & east & south, east & south & west)
            sides = sides if first else (north & east & west, north & south & west)
            ink = ink & ~((count >= 2) & (count <= 6) & (rises == 1) & ~sides[0] & ~sides[1])
    parts, _ = label(ink[1:-1, 1:-1], np.ones((3, 3)))
    sizes = np.bincount(parts.ravel())
    large_parts = np.flatnonzero(sizes > 0.1 * sizes[1:].max())
    return np.isin(parts, large_parts[large_parts > 0])


def axes(grey: Grey) -> tuple[Grey, Grey]:
    """Coordinates y, x of every pixel, from -1 to 1."""
    y, x = np.mgrid[-1 : 1 : grey.shape[0] * 1j, -1 : 1 : grey.shape[1] * 1j]
    return y, x


def ramp(grey: Grey, rng: np.random.Generator, darkest: float) -> Grey:
    """Light that falls off across the page, to `darkest` of its strength."""
    (y, x), angle = axes(grey), rng.uniform(0, 2 * np.pi)
    return darkest + (1 - darkest) * ((x * np.cos(angle) + y * np.sin(angle)) / 2.83 + 0.5)


def corners(grey: Grey, rng: np.random.Generator, darkest: float) -> Grey:
    """Light that falls off towards the corners, to `darkest` of its strength."""
    y, x = (axis - rng.uniform(-0.2, 0.2) for axis in axes(grey))
    return 1 - (1 - darkest) * np.clip((x**2 + y**2) / 2, 0, 1)


def shadow(grey: Grey, rng: np.random.Generator, strength: float, softness: float) -> Grey:
    """The shadow of a hand: beyond an edge, the light is `strength` of what it was."""
    (y, x), angle = axes(grey), rng.uniform(0, 2 * np.pi)
    beyond = (x * np.cos(angle) + y * np.sin(angle) - rng.uniform(-0.5, 0.5)) / softness
    light: Grey = 1 - (1 - strength) / (1 + np.exp(-8 * beyond))
    return light


def ruled(grey: Grey, rng: np.random.Generator) -> Grey:
    """Lined or squared paper, a little askew."""
    side, tilt = grey.shape[0], rng.uniform(-0.02, 0.02)
    spacing, level = rng.uniform(0.09, 0.2) * side, rng.uniform(0.72, 0.88)
    y, x = np.mgrid[:side, :side].astype(float)
    lines = [y + tilt * x, x - tilt * y] if rng.random() < 0.4 else [y + tilt * x]
    light = np.ones_like(grey)
    for position in lines:
        away = np.abs((position + rng.uniform(0, spacing)) % spacing - spacing / 2)
        light = np.minimum(light, 1 - (1 - level) * np.clip(max(1.0, side / 280) / 2 + 0.5 - away, 0, 1))
    return grey * light


def framed(grey: Grey, rng: np.random.Generator) -> Grey:
    """A dark frame on the picture's border."""
    thick = int(rng.uniform(0.01, 0.04) * grey.shape[0]) + 1
    inner = grey[thick:-thick, thick:-thick]
    return np.pad(inner, thick, constant_values=rng.uniform(0, 60))


def on_a_table(grey: Grey, rng: np.random.Generator) -> Grey:
    """The page, turned a little, on a dark table."""
    marked = np.pad(grey + 1000, int(0.08 * grey.shape[0]))  # tells paper from table once it is turned
    turned = rotate(marked, rng.uniform(-6, 6), reshape=False, order=1)
    table = rng.uniform(20, 90) + gaussian_filter(rng.normal(0, 20, turned.shape), 2)
    return np.where(turned > 900, turned - 1000, table)


def dusty(grey: Grey, rng: np.random.Generator, ink: float) -> Grey:
    """One to a dozen specks."""
    grey = grey.copy()
    for _ in range(int(rng.integers(1, 13))):
        size = int(rng.integers(1, 1 + max(2, grey.shape[0] // 90)))
        top, left = rng.integers(0, grey.shape[0] - size, 2)
        grey[top : top + size, left : left + size] = ink
    return grey
