"""Image files in and out. Needs Pillow, which the base installation leaves out."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from tenfold_onnx.contract import NEAR_BLACK, NO_DIGIT, SIDE, BadInput
from tenfold_onnx.inputs import MAX_CHANNELS
from tenfold_onnx.runtime import CanvasClassifier
from tenfold_onnx.verdicts import in_words

if TYPE_CHECKING:
    from PIL import Image

LONGEST_SIDE: Final = 1024  # pixels of a drawing: a photograph at full size takes seconds and reads no better
MAX_PIXELS: Final = 100_000_000  # of a file; decoded, they take 400 MB
FULL_SCALES: Final = (1, 255, 1023, 4095, 16383, 65535)  # white, in files of more than 8 bits or of fractions


def read_image(path: Path | str) -> npt.NDArray[np.uint8]:
    """One digit from an image file for `Classifier`, uint8 (28, 28), light on dark, placed as in MNIST.

    An image of 28x28 pixels on a ground that is nearly black stays as it is: it may come from a generator. In others,
    the canvas model that comes with the package finds the digit. Raises BadInput, also where there is none.
    """
    drawing = read_drawing(path)
    ground = np.median(np.concatenate([drawing[0], drawing[-1], drawing[:, 0], drawing[:, -1]]))
    if drawing.shape == (SIDE, SIDE) and ground < NEAR_BLACK and drawing.any():
        return drawing
    found = _canvas().predict(drawing[None])
    if found.label[0] == NO_DIGIT:
        raise BadInput(f"{path}: {in_words(int(found.verdict[0]), int(found.parts[0]))}; give an image of one digit")
    return found.seen[0]


@cache
def _canvas() -> CanvasClassifier:
    return CanvasClassifier()


def read_drawing(path: Path | str) -> npt.NDArray[np.uint8]:
    """The picture in an image file for `CanvasClassifier`, uint8 (H, W): grey and upright, at most 1024 pixels long.

    Transparent parts are the background. Raises BadInput.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # at 89 million pixels
            file = Image.open(path)
        with file:
            if file.width * file.height > MAX_PIXELS:
                size = f"{file.width} x {file.height} pixels, more than {MAX_PIXELS / 1e6:.0f} million"
                raise BadInput(f"{path}: has {size}; make it smaller")
            file.draft(None, (LONGEST_SIDE, LONGEST_SIDE))  # JPEG decodes fewer pixels
            picture = _eight_bits(ImageOps.exif_transpose(file)).convert("RGBA")
    except BadInput:
        raise
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise BadInput(f"{path}: cannot be read as an image ({error}); give a PNG or JPEG file") from error
    picture.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    rgba = np.asarray(picture, dtype=np.float32)
    opaque = rgba[..., 3:] / 255
    # A transparent drawing has no background: put dark ink on white and light ink on black.
    dark_ink = (rgba[..., :3].mean(-1, keepdims=True) * opaque).sum() < 127.5 * opaque.sum()
    grey = (rgba[..., :3] * opaque + (255.0 if dark_ink else 0.0) * (1 - opaque)).mean(-1)
    if min(grey.shape) <= MAX_CHANNELS:
        raise BadInput(
            f"{path}: is {grey.shape[1]} x {grey.shape[0]} pixels, too narrow for a digit; give another image"
        )
    drawing: npt.NDArray[np.uint8] = np.rint(grey).astype(np.uint8)
    return drawing


def _eight_bits(file: Image.Image) -> Image.Image:
    """The image, with grey levels of more than 8 bits, or fractions, as those from 0 to 255. Raises ValueError."""
    from PIL import Image

    if file.mode != "F" and not file.mode.startswith("I"):
        return file
    levels = np.asarray(file, np.float32)
    if not np.isfinite(levels).all():
        raise ValueError("it has pixels that are NaN or infinite")
    white = next((white for white in FULL_SCALES if levels.max() <= white), float(levels.max()))
    return Image.fromarray(np.rint(levels.clip(0) / white * 255).astype(np.uint8))


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
