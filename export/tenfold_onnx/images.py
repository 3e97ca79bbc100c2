"""Image files in and out. Needs Pillow, which the base installation leaves out."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from tenfold_onnx.contract import SIDE, BadInput

BOX: Final = 20  # MNIST scales a digit into a 20x20 box, then centres its mass in 28x28
INK: Final = 0.15  # share of the brightest ink from which a pixel counts as part of the digit


def read_image(path: Path | str) -> npt.NDArray[np.uint8]:
    """One digit from an image file, uint8 (28, 28), light on dark and placed as MNIST places it.

    Any size and either polarity; transparent parts count as background, EXIF rotation is heeded. An
    image that is 28x28 and light on dark already is taken as it is. Raises BadInput.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with Image.open(path) as file:
            upright = ImageOps.exif_transpose(file).convert("RGBA")
    except (UnidentifiedImageError, OSError, ValueError, Image.DecompressionBombError) as error:
        raise BadInput(f"{path}: is no image that can be read ({error}); give a PNG or JPEG file") from error
    rgba = np.asarray(upright, dtype=np.float32)
    opaque = rgba[..., 3:] / 255
    # Transparent drawings carry no background of their own: lay dark ink on white and light ink on black.
    dark_ink = (rgba[..., :3].mean(-1, keepdims=True) * opaque).sum() < 127.5 * opaque.sum()
    grey = (rgba[..., :3] * opaque + (255.0 if dark_ink else 0.0) * (1 - opaque)).mean(-1)
    border = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    light_on_dark = float(np.median(border)) < 127.5
    if grey.shape == (SIDE, SIDE) and light_on_dark:
        return np.rint(grey).astype(np.uint8)
    ink = np.clip(grey - np.median(border) if light_on_dark else np.median(border) - grey, 0, None)
    if ink.max() < 16:
        raise BadInput(f"{path}: shows nothing but background; give an image of one digit")
    return _placed(ink / ink.max())


def sheet_png(images: npt.NDArray[np.uint8], columns: int, gap: int = 2) -> bytes:
    """Images uint8 (N, 28, 28) as the bytes of one PNG, `columns` a row, `gap` pixels apart."""
    from PIL import Image

    rows = -(-len(images) // columns)
    sheet = np.full((rows * (SIDE + gap) + gap, columns * (SIDE + gap) + gap), 64, np.uint8)
    for place, image in enumerate(images):
        top, left = (gap + (SIDE + gap) * part for part in divmod(place, columns))
        sheet[top : top + SIDE, left : left + SIDE] = image
    out = io.BytesIO()
    Image.fromarray(sheet).save(out, "PNG")
    return out.getvalue()


def film_gif(pictures: Sequence[bytes], frame_ms: int) -> bytes:
    """Pictures of one size, such as `sheet_png` makes, one after the other as an endless animated GIF."""
    from PIL import Image

    frames = [Image.open(io.BytesIO(picture)).convert("L") for picture in pictures]
    out = io.BytesIO()
    times = [frame_ms] * (len(frames) - 1) + [8 * frame_ms]  # the last one is looked at
    frames[0].save(out, "GIF", save_all=True, append_images=frames[1:], duration=times, loop=0)
    return out.getvalue()


def _placed(ink: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    """Ink in [0, 1] of any size, scaled into the 20x20 box and centred by mass in 28x28."""
    from PIL import Image

    rows, columns = np.where(ink > INK)
    cut = ink[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    scale = BOX / max(cut.shape)
    height, width = (max(1, round(side * scale)) for side in cut.shape)
    small = np.asarray(Image.fromarray(np.float32(cut)).resize((width, height), Image.Resampling.BICUBIC))
    small = np.clip(small / small.max(), 0, 1)
    row = round(SIDE / 2 - float((small.sum(1) @ (np.arange(height) + 0.5)) / small.sum()))
    column = round(SIDE / 2 - float((small.sum(0) @ (np.arange(width) + 0.5)) / small.sum()))
    row, column = min(max(row, 0), SIDE - height), min(max(column, 0), SIDE - width)
    placed = np.zeros((SIDE, SIDE), np.uint8)
    placed[row : row + height, column : column + width] = np.rint(small * 255)
    return placed
