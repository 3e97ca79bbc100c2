"""From a drawing, a scan or a photograph to the image of one digit as MNIST would show it, as a graph.

The paper is taken out, then what hangs on the picture's border (frames, rulings, the table), then specks. The digit
that is left is placed as in MNIST, with strokes at least about as wide. All of it happens on grids of fixed size, so
no operator's output size depends on what is drawn. Tensors are float32.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate, max_pool2d, pad

from tenfold_onnx.contract import BOX, INK_THRESHOLD, MAX_PARTS, MIN_CONTRAST, NEAR_BLACK, SIDE

GRID: Final = 128  # cells of a picture's longer side
FINE: Final = 2 * SIDE  # cells of the grid on which strokes are widened
# Reaches in cells of the grid.
WIDEST_STROKE: Final = 50  # half of it; a wider one is taken for paper
LIGHT: Final = 5  # over which the light is taken as even
SURROUNDINGS: Final = 32  # of a cell, beside which ink stands out
# Shares of ink: 0 is paper, 1 is black. What is below the threshold becomes paper.
DARKEST_PAPER: Final = 40  # grey levels: darker paper counts as this, or its noise would be ink
FAINTEST: Final = 0.06
OF_STRONGEST: Final = 0.25
NOISE: Final = 4.5  # times the mean distance from a cell to the mean of its neighbourhood
CLUTTER: Final = 2.0  # times the threshold: weaker ink may be a shadow
LEFT: Final = 0.3  # of a digit's ink once the border is cleared: with less, the digit itself hangs on the border
MOST_OF_BORDER: Final = 0.5  # of its length: so much ink there is a frame, or a blot around nothing
# Steps of two cells.
FROM_BORDER: Final = 128  # from end to end of a digit, if it hangs on the border
WITHIN_PART: Final = 40
ALONG_PART: Final = 128
ABOVE: Final = 3  # cells of 64: half the gap between two parts of one digit
# Longer sides.
PART: Final = 0.3  # of the largest part's: smaller ones are specks
SPECK: Final = 3  # steps of two cells: whatever the largest part
DIGIT: Final = 0.1  # of the picture's shorter side
# MNIST's own images: the digit's longer side as a share of the image's; its centre's distance from the image's, pixels.
LEAST_EXTENT: Final = 0.6
MOST_EXTENT: Final = 0.8
OFF_CENTRE: Final = 2.0
STROKE: Final = 2.6  # pixels of the 28: thinner strokes are widened to this


class Prepared(NamedTuple):
    """What a classifier sees of N drawings, and whether it can be a digit."""

    images: Tensor  # uint8 (N, 28, 28), zeros where nothing is drawn
    ink: Tensor  # (N,): the share of the drawing that is the digit's ink
    extent: Tensor  # (N,): the digit's longer side, as a share of the drawing's shorter one
    clutter: Tensor  # (N,): the share of the image's square that has ink in the drawing, the digit's or other
    noise: Tensor  # (N,): how far cells are from the mean of their neighbourhood, as a share of the strongest ink
    parts: Tensor  # int32 (N,): how many things stand side by side
    boxes: Tensor  # int32 (N, 16, 4): left, top, right and bottom of each, in pixels, from left to right; then zeros


def prepare(drawings: Tensor) -> Prepared:
    """What a classifier sees of drawings uint8 (N, H, W), dark on light or light on dark."""
    drawn = drawings.to(torch.float32)
    grey, inside = _on_grid(drawn, GRID)
    all_ink = _ink(grey) * inside
    ink, threshold, noise = _largest_parts(all_ink, inside)
    marked = (ink > INK_THRESHOLD).to(torch.float32)
    box_y, centre_y = _extent_and_centre(marked.amax(2), ink.sum(2))
    box_x, centre_x = _extent_and_centre(marked.amax(1), ink.sum(1))
    longest = torch.maximum(box_y, box_x)
    scale = longest.clamp(min=1) / (BOX * FINE / SIDE)
    rows, columns = _resampling(centre_y, scale), _resampling(centre_x, scale).mT
    fine = (rows @ ink @ columns).unsqueeze(1)
    images = as_in_mnist(fine).squeeze(1).mul(255)
    parts, boxes = _side_by_side(max_pool2d(ink.unsqueeze(1), 2))
    as_it_stands = _is_mnists(drawn, longest, centre_y, centre_x).view(-1, 1, 1)
    return Prepared(
        images=torch.where(as_it_stands, _on_grid(drawn, SIDE)[0].squeeze(1), images).round().to(torch.uint8),
        ink=marked.sum((1, 2)) / inside.sum(),
        extent=longest / _shorter_side(inside),
        clutter=(rows @ (all_ink > CLUTTER * threshold).to(torch.float32).squeeze(1) @ columns).mean((1, 2)),
        noise=noise.flatten(),
        parts=parts,
        boxes=_in_pixels(boxes, drawn),
    )


def as_in_mnist(fine: Tensor) -> Tensor:
    """Ink (N, 1, 28, 28) in [0, 1] with strokes as wide as MNIST's, from ink on a fine grid (N, 1, 56, 56)."""
    return _normalised(avg_pool2d(_widened(_normalised(fine)), 2))


def _is_mnists(drawn: Tensor, longest: Tensor, centre_y: Tensor, centre_x: Tensor) -> Tensor:
    """Whether drawings (N, H, W) are as in MNIST already, bool (N,): 28x28, on black, of MNIST's size and place."""
    edges = torch.cat([drawn[:, 0], drawn[:, -1], drawn[:, :, 0], drawn[:, :, -1]], 1)
    of_size = (longest >= LEAST_EXTENT * GRID) & (longest <= MOST_EXTENT * GRID)
    off_centre = torch.maximum((centre_y - GRID / 2).abs(), (centre_x - GRID / 2).abs())
    rows, columns = torch.ones_like(drawn[0, :, 0]).sum(), torch.ones_like(drawn[0, 0]).sum()
    is_small = (rows == SIDE) & (columns == SIDE)
    return is_small & (edges.mean(1) < NEAR_BLACK) & of_size & (off_centre <= OFF_CENTRE * GRID / SIDE)


def _on_grid(grey: Tensor, side: int) -> tuple[Tensor, Tensor]:
    """Grey levels (N, H, W) on a square grid, (N, 1, side, side), continued beyond the picture's shorter side.

    Also (side, side): 1 inside of the picture, 0 beyond.
    """
    pixels = [torch.arange(length, dtype=torch.float32) + 0.5 for length in grey.shape[1:]]
    lengths = [axis[-1] + 0.5 for axis in pixels]
    scale = torch.maximum(*lengths) / side
    cells = (torch.arange(side, dtype=torch.float32) + 0.5 - side / 2) * scale
    # At least the cells in the middle, however narrow the picture.
    inside = [(cells.abs() <= torch.maximum(length, scale) / 2).to(torch.float32) for length in lengths]
    axes = []
    for axis, length in zip(pixels, lengths, strict=True):
        at = (cells + length / 2).clamp(min=0.5).minimum(axis[-1])
        weights = (1 - (axis - at.unsqueeze(1)).abs() / scale.clamp(min=1)).clamp(min=0)
        axes.append(weights / weights.sum(1, keepdim=True))
    return (axes[0] @ grey @ axes[1].T).unsqueeze(1), inside[0].unsqueeze(1) * inside[1]


def _shorter_side(inside: Tensor) -> Tensor:
    """The picture's shorter side in cells of the grid, where it is 1 in (side, side)."""
    return torch.minimum(inside.amax(0).sum(), inside.amax(1).sum())


def _ink(grey: Tensor) -> Tensor:
    """Ink (N, 1, 128, 128) in [0, 1] from grey levels of either polarity, as a share of the light that falls there.

    The paper is what a morphological closing leaves: J. Serra, "Image Analysis and Mathematical Morphology", 1982.
    """
    # Ink is less than its surroundings, and farther from them: so the third power finds which way.
    around = interpolate(_mean(avg_pool2d(grey, 8), SURROUNDINGS // 8), scale_factor=8.0, mode="nearest")
    light_on_dark = ((grey - around) ** 3).sum((2, 3), keepdim=True) > 0
    grey = torch.where(light_on_dark, 255 - grey, grey)
    smooth = _mean(grey, 1)
    coarse = max_pool2d(smooth, 2)
    closed = -_most(-_most(coarse, WIDEST_STROKE // 2), WIDEST_STROKE // 2)
    paper = torch.maximum(_mean(interpolate(closed, scale_factor=2.0, mode="nearest"), LIGHT), smooth)
    difference = (paper - grey).clamp(min=0)
    blank = difference.amax((2, 3), keepdim=True) < MIN_CONTRAST
    return torch.where(blank, 0.0, (difference / paper.clamp(min=DARKEST_PAPER)).clamp(max=1))


def _without_border(ink: Tensor, inside: Tensor) -> Tensor:
    """Ink less what is connected with the picture's border by ink as strong.

    Reconstruction by dilation: L. Vincent, "Morphological Grayscale Reconstruction in Image Analysis", 1993. Of a
    ruling that crosses a digit, only the ruling's strength is taken from the digit.
    """
    connected, coarse = max_pool2d(ink * _border(inside), 2), max_pool2d(ink, 2)
    for _ in range(FROM_BORDER):
        connected = torch.minimum(max_pool2d(connected, 3, 1, 1), coarse)
    return (ink - interpolate(connected, scale_factor=2.0, mode="nearest")).clamp(min=0)


def _border(inside: Tensor) -> Tensor:
    """(1, 1, 128, 128): 1 in the outermost cells of the picture and beyond it."""
    beyond = pad(1 - inside.view(1, 1, GRID, GRID), (1, 1, 1, 1), value=1.0)
    return max_pool2d(beyond, 3, 1)


def _largest_parts(ink: Tensor, inside: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The large parts of the ink (N, 1, 128, 128) that is clear of the border or, where that is no digit, of all of it.

    They are (N, 128, 128) in [0, 1]: 0 is what lies below a threshold, 1 the strongest ink. Then that threshold, and
    the noise as a share of the strongest ink, both (N, 1, 1, 1).
    """
    clear = _without_border(ink, inside)
    candidates = torch.cat([clear, ink])
    smooth = _mean(candidates, 1)
    strongest = smooth.amax((2, 3), keepdim=True)
    noise = ((candidates - smooth).abs() * inside).sum((2, 3), keepdim=True) / inside.sum()
    noise = noise / strongest.clamp(min=1e-6)
    threshold = strongest * (NOISE * noise).clamp(OF_STRONGEST, 0.5)
    candidates = ((candidates - threshold) / (strongest - threshold).clamp(min=1e-6)).clamp(0, 1)
    sizes = _part_sizes(max_pool2d(candidates, 2))
    largest = sizes.amax((2, 3), keepdim=True)
    kept = (sizes >= (PART * largest).clamp(min=SPECK)).to(torch.float32)
    parts = candidates * interpolate(max_pool2d(kept, 3, 1, 1), scale_factor=2.0, mode="nearest")
    is_digit = (largest >= DIGIT * _shorter_side(inside) / 2) & (strongest >= FAINTEST)
    n = ink.shape[0]
    border = _border(inside) * inside
    framed = ((ink > threshold[n:]) * border).sum((2, 3), keepdim=True) > MOST_OF_BORDER * border.sum()
    shown = (parts[:n] > 0).to(torch.float32)
    left = (shown * clear).sum((2, 3), keepdim=True) >= LEFT * (shown * ink).sum((2, 3), keepdim=True)
    is_clear = is_digit[:n] & (left | framed)
    chosen = torch.where(is_clear, parts[:n], torch.where(is_digit[n:] & ~framed, parts[n:], 0.0))
    threshold, noise = (torch.where(is_clear, x[:n], x[n:]) for x in (threshold, noise))
    return chosen.squeeze(1), threshold, noise


def _part_sizes(ink: Tensor) -> Tensor:
    """For each inked cell of (N, 1, 64, 64), the longer side of the part it is connected with; 0 for others."""
    inked = ink > 0
    row, column = _places(ink)
    sides = _spread(torch.cat([row, -row, column, -column], 1), inked, WITHIN_PART)
    lengths = torch.maximum(sides[:, :1] + sides[:, 1:2], sides[:, 2:3] + sides[:, 3:]) + 1
    return torch.where(inked, lengths, 0.0)


def _side_by_side(ink: Tensor) -> tuple[Tensor, Tensor]:
    """How many things stand side by side in ink (N, 1, 64, 64), int32 (N,), and their boxes (N, 16, 4) in cells.

    Parts above each other are one thing where the gap is small: the hat of a 5 belongs to it.
    """
    inked = max_pool2d(ink, (2 * ABOVE + 1, 1), 1, (ABOVE, 0)) > 0
    side = ink.shape[3]
    row, column = _places(ink)
    number = -(column * side + row)  # of a cell, the leftmost ones first
    first = _spread(number, inked, ALONG_PART)
    is_first = (inked & (first == number)).to(torch.float32).transpose(2, 3).flatten(1)
    rank = is_first * is_first.cumsum(1)
    chosen = (rank.unsqueeze(1) == torch.arange(1, MAX_PARTS + 1).view(1, -1, 1)).to(torch.float32)
    # 1 for the cells of each part that was chosen.
    firsts = (chosen @ number.transpose(2, 3).flatten(1).unsqueeze(2)).view(-1, MAX_PARTS, 1, 1)
    cells = ((first == firsts) & inked & (chosen.amax(2) > 0).view(-1, MAX_PARTS, 1, 1)).to(torch.float32)
    ends = torch.stack([(cells * x).amax((2, 3)) for x in (side - column, side - row, column + 1, row + 1)], 2)
    return is_first.sum(1).to(torch.int32), (ends - torch.tensor([side, side, 0, 0])).abs() * (ends > 0)


def _places(grid: Tensor) -> tuple[Tensor, Tensor]:
    """Each cell's row and column, both in the shape of the grid (N, 1, L, L)."""
    index = torch.arange(grid.shape[3], dtype=torch.float32)
    return index.view(1, 1, -1, 1).expand_as(grid), index.view(1, 1, 1, -1).expand_as(grid)


def _spread(values: Tensor, inked: Tensor, steps: int) -> Tensor:
    """Of values (N, K, L, L), the maximum over the inked cells (N, 1, L, L) that a cell is connected with."""
    limit = torch.where(inked, 1e6, -1e6)
    for _ in range(steps):
        values = max_pool2d(torch.minimum(values, limit), 3, 1, 1)
    return values


def _in_pixels(boxes: Tensor, drawn: Tensor) -> Tensor:
    """Boxes (N, 16, 4) on the grid of 64 cells as int32 pixels of the drawings (N, H, W), within them."""
    height, width = (torch.ones_like(side).sum() for side in (drawn[0, :, 0], drawn[0, 0]))
    lengths = torch.stack([width, height, width, height])
    scale = torch.maximum(height, width) / (GRID / 2)
    outward = torch.tensor([1.0, 1.0, -1.0, -1.0])  # a cell may be less than a pixel wide
    pixels = ((boxes - GRID / 4) * scale + lengths / 2) * outward
    pixels = ((pixels + 0.01).floor() * outward).clamp(min=0).minimum(lengths)  # 0.01: runtimes add in other orders
    return torch.where(boxes.amax(2, keepdim=True) > 0, pixels, 0.0).to(torch.int32)


def _widened(ink: Tensor) -> Tensor:
    """Ink (N, 1, 56, 56) in [0, 1] with strokes as wide as MNIST's, where they were thinner."""
    down, across = (pad(ink, sides) for sides in ((0, 0, 1, 1), (1, 1, 0, 0)))
    down, across = down[:, :, 1:] - down[:, :, :-1], across[:, :, :, 1:] - across[:, :, :, :-1]
    outline = (down[:, :, :-1] ** 2 + across[:, :, :, :-1] ** 2 + 1e-12).sqrt().sum((2, 3), keepdim=True)
    width = 2 * ink.sum((2, 3), keepdim=True) / outline.clamp(min=1e-6) * SIDE / FINE  # of a long stroke, in pixels
    missing = (STROKE - width).clamp(min=0)
    for step in range(3):  # each adds a cell on both sides: a pixel
        share = (missing - step).clamp(0, 1)
        ink = ink + share * (max_pool2d(ink, 3, 1, 1) - ink)
    return ink


def _normalised(ink: Tensor) -> Tensor:
    return ink / ink.amax((2, 3), keepdim=True).clamp(min=1e-6)


def _most(x: Tensor, reach: int) -> Tensor:
    """The maximum within `reach` cells in both directions."""
    side = 2 * reach + 1
    return max_pool2d(max_pool2d(x, (side, 1), 1, (reach, 0)), (1, side), 1, (0, reach))


def _mean(x: Tensor, reach: int) -> Tensor:
    """The mean within `reach` cells in both directions."""
    side = 2 * reach + 1
    along = avg_pool2d(x, (side, 1), 1, (reach, 0), count_include_pad=False)
    return avg_pool2d(along, (1, side), 1, (0, reach), count_include_pad=False)


def _extent_and_centre(marked: Tensor, ink: Tensor) -> tuple[Tensor, Tensor]:
    """Of one axis, marks and ink (N, L): the length (N,) from first to last mark, and the centre of mass (N,)."""
    index = torch.arange(GRID, dtype=torch.float32)
    last = (marked * (index + 1)).amax(1)
    first = (marked * (GRID - index)).amax(1)  # counted from the far end
    length = (last + first - GRID).clamp(min=0)
    moment = (ink @ (index + 0.5).unsqueeze(1)).squeeze(1)  # a matrix: OpenCV multiplies by no vector
    return length, moment / ink.sum(1).clamp(min=1e-6)


def _resampling(centre: Tensor, scale: Tensor) -> Tensor:
    """Matrices (N, 56, 128) that resample one axis about `centre` (N,), with `scale` (N,) cells per output."""
    out = torch.arange(FINE, dtype=torch.float32) + 0.5 - FINE / 2
    cells = torch.arange(GRID, dtype=torch.float32) + 0.5
    middle = centre.view(-1, 1, 1) + out.view(1, -1, 1) * scale.view(-1, 1, 1)
    reach = scale.clamp(min=1).view(-1, 1, 1)
    return (1 - (cells.view(1, 1, -1) - middle).abs() / reach).clamp(min=0) / reach
