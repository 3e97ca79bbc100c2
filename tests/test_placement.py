"""MNIST's placement is one algorithm: in numpy for image files, as a graph inside the canvas classifier."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from tenfold_onnx.contract import BOX, SIDE
from tenfold_onnx.placement import place_digit
from tenfold_onnx.write.graphs import place_digits

Ink = npt.NDArray[np.float32]


@st.composite
def drawings(draw: st.DrawFn) -> Ink:
    """Ink (H, W) in [0, 1] of a few random strokes, sharp or soft, now and then with noise all over."""
    height, width = draw(st.integers(2, 400)), draw(st.integers(2, 400))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    image = Image.new("L", (width, height), 0)
    for _ in range(draw(st.integers(1, 5))):
        points = [tuple(point) for point in rng.integers(0, (width, height), (3, 2)).tolist()]
        thickness = draw(st.integers(1, max(1, min(height, width) // 4)))
        ImageDraw.Draw(image).line(points, fill=int(rng.integers(60, 256)), width=thickness, joint="curve")
    if draw(st.booleans()):  # soft edges, as in a photograph
        image = image.reduce(2).resize((width, height), Image.Resampling.BICUBIC)
    ink = np.asarray(image, np.float32) + draw(st.sampled_from([0, 10, 60])) * rng.random((height, width))
    return (ink / max(ink.max(), 1)).astype(np.float32)


@settings(max_examples=300, deadline=None)
@given(drawings())
def test_numpy_and_the_graph_place_alike(ink: Ink) -> None:
    placed = place_digit(ink).astype(int)
    images, _, _ = place_digits(torch.from_numpy(ink)[None])
    assert np.abs(placed - images[0].numpy()).max() <= 1


@settings(max_examples=50, deadline=None)
@given(st.integers(5, 200), st.integers(5, 200), st.integers(0, 90), st.integers(0, 90))
def test_a_bar_fills_the_box_around_the_centre(height: int, width: int, top: int, left: int) -> None:
    ink = np.zeros((300, 300), np.float32)
    ink[top : top + height, left : left + width] = 1
    placed = place_digit(ink).astype(float)
    assert placed.max() == 255
    for axis in (0, 1):
        mass = placed.sum(1 - axis)
        assert mass @ (np.arange(SIDE) + 0.5) / mass.sum() == pytest.approx(SIDE / 2, abs=0.05)
    longer = placed.max(1 if height > width else 0)
    assert (longer > 127).sum() == pytest.approx(BOX, abs=1)


def test_no_ink_gives_a_black_image() -> None:
    assert not place_digit(np.zeros((50, 40), np.float32)).any()
