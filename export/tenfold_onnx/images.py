"""Image files in and out. Needs Pillow, which the base installation leaves out."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from tenfold_onnx.contract import MIN_CONTRAST, SIDE, BadInput
from tenfold_onnx.placement import place_digit

LONGEST_SIDE: Final = 1024  # pixels of a drawing: a photograph at full size takes seconds and reads no better


def read_image(path: Path | str) -> npt.NDArray[np.uint8]:
    """One digit from an image file, uint8 (28, 28), light on dark, placed as in MNIST. Raises BadInput.

    Takes any size and either polarity. Transparent parts count as background; EXIF rotation is applied. An
    image that is 28x28 and light on dark already is returned unchanged.
    """
    grey = _grey(path)
    background = float(np.median(np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])))
    light_on_dark = background < 127.5
    if grey.shape == (SIDE, SIDE) and light_on_dark:
        return np.rint(grey).astype(np.uint8)
    ink = np.clip(grey - background if light_on_dark else background - grey, 0, None)
    if ink.max() < MIN_CONTRAST:
        raise BadInput(f"{path}: shows only background; give an image of one digit")
    return place_digit(ink / ink.max())


def read_drawing(path: Path | str) -> npt.NDArray[np.uint8]:
    """The drawing in an image file for `CanvasClassifier`, uint8 (H, W): grey, upright, on a background.

    A larger one is reduced to LONGEST_SIDE. Raises BadInput.
    """
    drawing = np.rint(_grey(path, LONGEST_SIDE)).astype(np.uint8)
    if min(drawing.shape) < 2:
        raise BadInput(f"{path}: shows only background; give an image of one digit")
    return drawing


def _grey(path: Path | str, longest_side: int | None = None) -> npt.NDArray[np.float32]:
    """An image file's grey levels, float32 (H, W) from 0 to 255. Raises BadInput."""
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with Image.open(path) as file:
            upright = ImageOps.exif_transpose(file).convert("RGBA")
    except (UnidentifiedImageError, OSError, ValueError, Image.DecompressionBombError) as error:
        raise BadInput(f"{path}: cannot be read as an image ({error}); give a PNG or JPEG file") from error
    if longest_side is not None:
        upright.thumbnail((longest_side, longest_side))
    rgba = np.asarray(upright, dtype=np.float32)
    opaque = rgba[..., 3:] / 255
    # A transparent drawing has no background: put dark ink on white and light ink on black.
    dark_ink = (rgba[..., :3].mean(-1, keepdims=True) * opaque).sum() < 127.5 * opaque.sum()
    grey: npt.NDArray[np.float32] = (rgba[..., :3] * opaque + (255.0 if dark_ink else 0.0) * (1 - opaque)).mean(-1)
    return grey


def sheet_png(images: npt.NDArray[np.uint8], columns: int, gap: int = 2) -> bytes:
    """One PNG with images uint8 (N, 28, 28) on a grid of `columns`, `gap` pixels apart."""
    from PIL import Image

    rows = -(-len(images) // columns)
    sheet = np.full((rows * (SIDE + gap) + gap, columns * (SIDE + gap) + gap), 64, np.uint8)
    for index, image in enumerate(images):
        top, left = (gap + (SIDE + gap) * cell for cell in divmod(index, columns))
        sheet[top : top + SIDE, left : left + SIDE] = image
    out = io.BytesIO()
    Image.fromarray(sheet).save(out, "PNG")
    return out.getvalue()


def film_gif(pictures: Sequence[bytes], frame_ms: int) -> bytes:
    """An endlessly repeating animated GIF of pictures of one size, such as `sheet_png` makes."""
    from PIL import Image

    frames = [Image.open(io.BytesIO(picture)).convert("L") for picture in pictures]
    out = io.BytesIO()
    durations = [frame_ms] * (len(frames) - 1) + [8 * frame_ms]  # the last frame stays, to be looked at
    frames[0].save(out, "GIF", save_all=True, append_images=frames[1:], duration=durations, loop=0)
    return out.getvalue()
