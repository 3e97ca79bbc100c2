"""Several digits in a picture, read as a number: the canvas model finds them, and reads each by itself.

A picture is cut until each piece shows one thing: a closer look parts what is close together, and finds what is small.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from tenfold_onnx.contract import CLASSES, MAX_PARTS, NO_DIGIT
from tenfold_onnx.inputs import MAX_CHANNELS, validated_drawings
from tenfold_onnx.runtime import CanvasClassifier

MARGIN: Final = 0.25  # around a digit that is cut out, as a share of its longer side
LEAST_MARGIN: Final = 2  # pixels
SMALL: Final = 0.6  # of a picture's longer side: what is smaller is looked at closer
WIDEST: Final = 6  # times its height: a wider row is halved, since the model sees a picture as a square
ROOM: Final = 8  # of a half's height, the share added at both sides
NEAR: Final = 24  # of a piece's height, the share of a gap's half
EDGE: Final = 16  # grey levels from a pixel to the next: less is noise or a shadow
ONE_THING: Final = 0.5  # of the narrower one's width: things that overlap so much are parts of one
DEEPEST: Final = 8  # cuts in cuts; taking things apart counts as three, which bounds the work on noise
APART: Final = 3

Box = tuple[int, int, int, int]  # left, top, right, bottom in pixels; the last two are exclusive
Drawing = npt.NDArray[np.uint8]  # (H, W)


class Digit(NamedTuple):
    """One digit of a number."""

    label: int  # 0..9, or NO_DIGIT
    probability: float  # of the most likely digit
    box: Box


def read_number(classifier: CanvasClassifier, drawing: Any) -> list[Digit]:
    """The digits of a grey drawing (H, W) that do not touch each other: row by row, each from left to right.

    The label is NO_DIGIT (-1) for what stands among them and is no digit. Small marks such as commas are left out. The
    list is empty where nothing is found. Raises BadInput for another shape or other values.
    """
    return _digits(classifier, validated_drawings([drawing])[0], DEEPEST)


def _digits(classifier: CanvasClassifier, drawing: Drawing, cuts: int) -> list[Digit]:
    height, width = drawing.shape
    if min(height, width) <= MAX_CHANNELS:
        return []
    whole = classifier.predict(drawing[None])
    found = int(whole.parts[0])
    things = _things(whole.boxes[0, :found].tolist())
    alone = [Digit(int(whole.label[0]), float(whole.probabilities.max()), _around(things))] if things else []
    room = 0
    if width > WIDEST * height and cuts > 0:
        middle = _gap(drawing)
        pieces, cuts = [(0, 0, middle, height), (middle, 0, width, height)], cuts - 1
        room = height // ROOM  # or a digit would reach the border, and be left out as a part of something else
    elif not things or found > MAX_PARTS:
        return alone
    elif _longer_side(_around(things)) < SMALL * max(height, width) and cuts > 0:
        pieces, cuts = [_with_margin(_around(things), (0, 0, width, height))], cuts - 1
    elif len(things) > 1 and cuts >= APART:
        pieces, cuts = _apart(things, width, height), cuts - APART
    else:
        return alone
    digits = [digit for piece in pieces for digit in _in_piece(classifier, drawing, piece, room, cuts)]
    # A single digit can be in two parts, neither of which is one.
    is_one = bool(alone) and alone[0].label != NO_DIGIT and any(digit.label == NO_DIGIT for digit in digits)
    return alone if is_one else digits


def _in_piece(classifier: CanvasClassifier, drawing: Drawing, piece: Box, room: int, cuts: int) -> Iterator[Digit]:
    """The digits of a piece, which gets `room` more columns at both sides. Without room, it shows a thing for sure."""
    left, top, right, bottom = piece
    wider = np.pad(drawing[top:bottom, left:right], ((0, 0), (room, room)), mode="edge")
    digits = _digits(classifier, wider, cuts)
    if not digits and not room:
        yield Digit(NO_DIGIT, 1 / CLASSES, piece)
    for label, probability, box in digits:
        start, end = (min(max(x + left - room, left), right) for x in (box[0], box[2]))
        yield Digit(label, probability, (start, box[1] + top, end, box[3] + top))


def _gap(drawing: Drawing) -> int:
    """A column in the middle half of a drawing with no stroke near it, if there is one: the nearest to the middle.

    A stroke has an edge, unlike a shadow, which is soft.
    """
    height, width = drawing.shape
    sharpest = np.abs(np.diff(drawing.astype(np.int16), axis=0)).max(0) // EDGE
    reach = 1 + height // NEAR
    nearby = np.lib.stride_tricks.sliding_window_view(np.pad(sharpest, reach), 2 * reach + 1).max(1)
    columns = np.arange(width // 4, width - width // 4)
    return int(columns[np.lexsort((np.abs(columns - width // 2), nearby[columns]))[0]])


def _things(boxes: Sequence[Box]) -> list[Box]:
    """Boxes, with those that largely overlap as one: a digit and the frame around it, for example."""
    things: list[Box] = []
    for box in boxes:
        same = [thing for thing in things if _overlap(thing, box, 0) and _overlap(thing, box, 1)]
        things = [*(thing for thing in things if thing not in same), _around([*same, box])]
    return things


def _overlap(one: Box, other: Box, axis: int) -> bool:
    """Whether boxes share most of the shorter one's length along x (0) or y (1)."""
    shared = min(one[axis + 2], other[axis + 2]) - max(one[axis], other[axis])
    return shared > ONE_THING * min(one[axis + 2] - one[axis], other[axis + 2] - other[axis])


def _around(boxes: Sequence[Box]) -> Box:
    """The box around boxes."""
    lefts, tops, rights, bottoms = zip(*boxes, strict=True)
    return min(lefts), min(tops), max(rights), max(bottoms)


def _longer_side(box: Box) -> int:
    return max(box[2] - box[0], box[3] - box[1])


def _with_margin(box: Box, limits: Box) -> Box:
    """A box with room around it, but not beyond `limits` where these leave it whole."""
    margin = max(LEAST_MARGIN, int(MARGIN * _longer_side(box)))
    left, top = (max(box[axis] - margin, min(box[axis], limits[axis])) for axis in (0, 1))
    right, bottom = (min(box[axis] + margin, max(box[axis], limits[axis])) for axis in (2, 3))
    return left, top, right, bottom


def _apart(things: Sequence[Box], width: int, height: int) -> list[Box]:
    """Each thing with room around it, but not beyond the middle between it and the next ones: row by row."""
    rows: list[list[Box]] = []
    for thing in sorted(things, key=lambda box: box[1]):
        if rows and (thing[1] + thing[3]) / 2 < _around(rows[-1])[3]:
            rows[-1].append(thing)
        else:
            rows.append([thing])
    pieces = []
    for row, (top, bottom) in zip(rows, _between([_around(row) for row in rows], 1, height), strict=True):
        boxes = sorted(row)
        for box, (left, right) in zip(boxes, _between(boxes, 0, width), strict=True):
            pieces.append(_with_margin(box, (left, top, right, bottom)))
    return pieces


def _between(boxes: Sequence[Box], axis: int, end: int) -> Iterator[tuple[int, int]]:
    """For each of boxes in a line along x (0) or y (1), the middles between it and the next ones."""
    middles = [(box[axis + 2] + after[axis]) // 2 for box, after in pairwise(boxes)]
    return pairwise([0, *middles, end])
