"""Digits in a row are read as a number, each where it stands."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tenfold.sources import sample
from tenfold_onnx import BadInput, CanvasClassifier
from tenfold_onnx.contract import NO_DIGIT, Verdict
from tenfold_onnx.number import read_number

_, DIGITS = sample.load()
LABELS = DIGITS.known_labels()
SIDE, PAPER = 84, 235


@pytest.fixture(scope="module")
def canvas() -> CanvasClassifier:
    return CanvasClassifier(threads=1)


def picture(*rows: int, gap: int = 0, side: int = SIDE) -> npt.NDArray[np.uint8]:
    """Test digits in a row, dark on light paper: MNIST's own margins part them, and `gap` more pixels."""
    large = [np.asarray(Image.fromarray(DIGITS.images[row]).resize((side, side))) for row in rows]
    ink = np.pad(np.concatenate([np.pad(digit, ((0, 0), (0, gap))) for digit in large], 1), side // 4)
    return np.rint(PAPER - ink * 0.8).astype(np.uint8)


def one_of_each(*labels: int, seed: int = 0) -> list[int]:
    rng = np.random.default_rng(seed)
    return [int(rng.choice(np.flatnonzero(label == LABELS))) for label in labels]


def labels_in(canvas: CanvasClassifier, drawing: npt.NDArray[np.uint8]) -> list[int]:
    return [digit.label for digit in read_number(canvas, drawing)]


@pytest.mark.parametrize("dark_on_light", [True, False])
def test_a_number_is_read_from_left_to_right(canvas: CanvasClassifier, dark_on_light: bool) -> None:
    drawing = picture(*one_of_each(2, 0, 2, 6))
    digits = read_number(canvas, drawing if dark_on_light else 255 - drawing)
    assert [digit.label for digit in digits] == [2, 0, 2, 6]
    for place, digit in enumerate(digits):
        left, top, right, bottom = digit.box
        start = SIDE // 4 + place * SIDE
        assert start - 5 <= left < right <= start + SIDE + 5 and 0 <= top < bottom <= len(drawing)
        assert 0.5 < digit.probability <= 1


def test_most_numbers_of_unseen_digits_are_read(canvas: CanvasClassifier) -> None:
    """Three out of a hundred digits wrong would leave nine numbers of ten."""
    rng = np.random.default_rng(1)
    right = 0
    for length in np.repeat([2, 3, 4, 6, 8], 6):
        rows = rng.choice(len(LABELS), length).tolist()
        right += labels_in(canvas, picture(*rows, gap=10)) == LABELS[rows].tolist()
    assert right >= 26


def test_one_digit_is_a_number_of_one_digit(canvas: CanvasClassifier) -> None:
    rows = [row for seed in range(4) for row in one_of_each(*range(10), seed=seed)]
    read = [labels_in(canvas, picture(row)) for row in rows]
    assert all(len(labels) == 1 for labels in read)
    assert sum(labels == [LABELS[row]] for labels, row in zip(read, rows, strict=True)) >= 36


def test_what_is_no_digit_is_minus_one_in_its_place(canvas: CanvasClassifier) -> None:
    drawing = picture(*one_of_each(7, 8, 3))
    middle = drawing[SIDE // 4 : -(SIDE // 4), SIDE // 4 + SIDE : SIDE // 4 + 2 * SIDE]
    middle[:] = PAPER
    for offset in range(12, 72):  # a cross
        middle[offset : offset + 6, [offset, 83 - offset]] = 40
        middle[offset : offset + 6, [offset + 1, 82 - offset]] = 40
        middle[offset : offset + 6, [offset + 2, 81 - offset]] = 40
    assert labels_in(canvas, drawing) == [7, NO_DIGIT, 3]


def test_a_picture_of_nothing_has_no_digits(canvas: CanvasClassifier) -> None:
    assert read_number(canvas, np.full((60, 200), PAPER, np.uint8)) == []


@pytest.mark.parametrize("length", [11, 15, 17, 24])
@pytest.mark.parametrize("gap", [6, 40])
def test_no_digit_of_a_long_row_is_lost(canvas: CanvasClassifier, length: int, gap: int) -> None:
    rng = np.random.default_rng(length)
    rows = rng.choice(len(LABELS), length).tolist()
    digits = read_number(canvas, picture(*rows, gap=gap))
    assert len(digits) == length
    assert sum(digit.label == label for digit, label in zip(digits, LABELS[rows], strict=True)) >= 0.8 * length


def test_rows_are_read_one_after_the_other(canvas: CanvasClassifier) -> None:
    above, below = picture(*one_of_each(1, 2, 3)), picture(*one_of_each(4, 5, 6))
    assert labels_in(canvas, np.concatenate([above, below])) == [1, 2, 3, 4, 5, 6]


def test_small_digits_are_looked_at_closer(canvas: CanvasClassifier) -> None:
    page = np.full((600, 800), PAPER, np.uint8)
    number = picture(*one_of_each(2, 0, 2, 6), side=100)
    page[200 : 200 + number.shape[0], 250 : 250 + number.shape[1]] = number
    digits = read_number(canvas, page)
    assert [digit.label for digit in digits] == [2, 0, 2, 6]
    assert all(250 <= digit.box[0] < digit.box[2] <= 250 + number.shape[1] for digit in digits)


def test_a_frame_does_not_double_its_digit(canvas: CanvasClassifier) -> None:
    drawing = picture(*one_of_each(3), side=120)
    for edge in (6, -8):
        drawing[edge : edge + 2, 6:-6] = drawing[6:-6, edge : edge + 2] = 30
    assert len(read_number(canvas, drawing)) == 1


@settings(deadline=None, max_examples=60)
@given(
    st.integers(5, 90), st.integers(5, 90), st.integers(0, 2**32 - 1), st.sampled_from(["noise", "stripes", "checks"])
)
def test_any_picture_gets_an_answer(canvas: CanvasClassifier, height: int, width: int, seed: int, kind: str) -> None:
    rng = np.random.default_rng(seed)
    drawing = rng.integers(0, 256, (height, width)).astype(np.uint8)
    period = int(rng.integers(2, 30))
    y, x = np.mgrid[:height, :width] // period % 2
    if kind != "noise":
        drawing = ((x if kind == "stripes" else x ^ y) * 255).astype(np.uint8)
    for digit in read_number(canvas, drawing):
        left, top, right, bottom = digit.box
        assert 0 <= left < right <= width and 0 <= top < bottom <= height


@pytest.mark.parametrize("shape", [(5, 641), (2, 4096), (4096, 31)])
def test_a_narrow_picture_is_blank(canvas: CanvasClassifier, shape: tuple[int, int]) -> None:
    answer = canvas.predict(np.full((1, *shape), PAPER, np.uint8))
    assert answer.verdict.tolist() == [Verdict.BLANK] and answer.ink.tolist() == [0] and answer.parts.tolist() == [0]


def test_several_digits_are_not_one(canvas: CanvasClassifier) -> None:
    rng = np.random.default_rng(2)
    rows = [rng.choice(len(LABELS), 2 + index % 3) for index in range(40)]
    verdicts = [canvas.predict(picture(*some)[None]).verdict[0] for some in rows]
    assert verdicts.count(Verdict.SEVERAL) >= 34


def test_a_colour_picture_is_refused(canvas: CanvasClassifier) -> None:
    with pytest.raises(BadInput, match="drawings: must be"):
        read_number(canvas, np.zeros((50, 80, 3), np.uint8))


def test_a_picture_in_a_file_is_read_as_it_is_in_memory(canvas: CanvasClassifier, tmp_path: Path) -> None:
    from tenfold_onnx.images import read_drawing

    drawing = picture(*one_of_each(1, 9, 4, 5))
    Image.fromarray(drawing).save(tmp_path / "number.png")
    assert read_number(canvas, read_drawing(tmp_path / "number.png")) == read_number(canvas, drawing)
