"""Image files of any kind come to the classifier as MNIST would have them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from tenfold_onnx import BadInput
from tenfold_onnx.images import read_image


def seven(size: tuple[int, int] = (200, 300), ink: int = 0, paper: int = 255, thick: int = 24) -> Image.Image:
    image = Image.new("L", size, paper)
    w, h = size
    points = [(w * 0.2, h * 0.2), (w * 0.8, h * 0.2), (w * 0.4, h * 0.85)]
    ImageDraw.Draw(image).line(points, fill=ink, width=thick, joint="curve")
    return image


def read(image: Image.Image, path: Path, **options: object) -> np.ndarray:  # type: ignore[type-arg]
    image.save(path, **options)  # type: ignore[arg-type]
    return read_image(path)


def alike(a: np.ndarray, b: np.ndarray) -> bool:  # type: ignore[type-arg]
    """Nearly the same, give or take a pixel: centring is to whole pixels."""
    moved = [np.roll(b.astype(float), (down, right), (0, 1)) for down in (-1, 0, 1) for right in (-1, 0, 1)]
    return min(float(np.abs(a - other).mean()) for other in moved) < 6


def test_a_digit_is_put_in_mnists_box_and_centred_by_mass(tmp_path: Path) -> None:
    digit = read(seven(), tmp_path / "a.png")
    assert digit.shape == (28, 28) and digit.dtype == np.uint8
    rows, columns = np.where(digit > 40)
    assert max(np.ptp(rows), np.ptp(columns)) + 1 in (19, 20)
    mass = digit / digit.sum()
    assert mass.sum(1) @ np.arange(28) == pytest.approx(13.5, abs=0.8)
    assert mass.sum(0) @ np.arange(28) == pytest.approx(13.5, abs=0.8)


def test_polarity_size_format_and_transparency_make_no_difference(tmp_path: Path) -> None:
    usual = read(seven(), tmp_path / "a.png")
    assert alike(usual, read(seven(ink=255, paper=0), tmp_path / "b.png"))
    assert alike(usual, read(seven((400, 600), thick=48), tmp_path / "c.png"))
    assert alike(usual, read(seven(), tmp_path / "d.jpg"))
    assert alike(usual, read(seven(ink=60, paper=200), tmp_path / "e.png"))
    clear = Image.new("RGBA", (200, 300), (0, 0, 0, 0))
    clear.paste((0, 0, 0, 255), mask=Image.eval(seven(), lambda v: 255 - v))
    assert alike(usual, read(clear, tmp_path / "f.png"))
    light = Image.new("RGBA", (200, 300), (255, 255, 255, 0))
    light.paste((255, 255, 255, 255), mask=Image.eval(seven(), lambda v: 255 - v))
    assert alike(usual, read(light, tmp_path / "g.png"))


def test_a_photograph_lying_on_its_side_is_put_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: rotate clockwise to view
    turned = seven().transpose(Image.Transpose.ROTATE_90)
    assert alike(read(seven(), tmp_path / "a.png"), read(turned, tmp_path / "b.jpg", exif=exif))


def test_a_28x28_light_on_dark_image_is_taken_as_it_is(tmp_path: Path) -> None:
    image = np.zeros((28, 28), np.uint8)
    image[3:9, 2:7] = 200
    assert (read(Image.fromarray(image), tmp_path / "a.png") == image).all()


@pytest.mark.parametrize("colour", [0, 128, 255])
def test_a_page_with_nothing_on_it_is_refused(tmp_path: Path, colour: int) -> None:
    with pytest.raises(BadInput, match="shows nothing but background"):
        read(Image.new("L", (60, 60), colour), tmp_path / "blank.png")


def test_a_file_that_is_no_image_is_refused_in_one_line(tmp_path: Path) -> None:
    whole = tmp_path / "whole.png"
    seven().save(whole)
    for name, data in {"text.png": b"hello", "empty.png": b"", "cut.png": whole.read_bytes()[:200]}.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(BadInput, match="is no image that can be read") as refused:
            read_image(tmp_path / name)
        assert "\n" not in str(refused.value)
