"""Image files of any kind reach the classifier placed as in MNIST."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from tenfold_onnx import BadInput
from tenfold_onnx.images import read_image


def seven(size: tuple[int, int] = (200, 300), ink: int = 0, paper: int = 255, thickness: int = 24) -> Image.Image:
    image = Image.new("L", size, paper)
    w, h = size
    points = [(w * 0.2, h * 0.2), (w * 0.8, h * 0.2), (w * 0.4, h * 0.85)]
    ImageDraw.Draw(image).line(points, fill=ink, width=thickness, joint="curve")
    return image


def transparent_seven(grey: int) -> Image.Image:
    image = Image.new("RGBA", (200, 300), (grey, grey, grey, 0))
    image.paste((grey, grey, grey, 255), mask=Image.eval(seven(), lambda level: 255 - level))
    return image


def read(image: Image.Image, path: Path, **options: object) -> np.ndarray:  # type: ignore[type-arg]
    image.save(path, **options)  # type: ignore[arg-type]
    return read_image(path)


def mean_difference(a: np.ndarray, b: np.ndarray) -> float:  # type: ignore[type-arg]
    """In grey levels."""
    return float(np.abs(a.astype(float) - b).mean())


def test_a_digit_fills_the_box_and_is_centred_by_mass(tmp_path: Path) -> None:
    digit = read(seven(), tmp_path / "a.png")
    assert digit.shape == (28, 28) and digit.dtype == np.uint8
    rows, columns = np.where(digit > 40)
    assert max(np.ptp(rows), np.ptp(columns)) + 1 in (20, 21, 22)
    mass = digit / digit.sum()
    assert mass.sum(1) @ np.arange(28) == pytest.approx(13.5, abs=0.3)
    assert mass.sum(0) @ np.arange(28) == pytest.approx(13.5, abs=0.3)


SAME_DIGIT: dict[str, Callable[[], Image.Image]] = {
    "light on dark.png": lambda: seven(ink=255, paper=0),
    "twice as large.png": lambda: seven((400, 600), thickness=48),
    "compressed.jpg": seven,
    "low contrast.png": lambda: seven(ink=60, paper=200),
    "black on transparent.png": lambda: transparent_seven(0),
    "white on transparent.png": lambda: transparent_seven(255),
}


@pytest.mark.parametrize("name", SAME_DIGIT)
def test_polarity_size_format_and_alpha_do_not_matter(tmp_path: Path, name: str) -> None:
    plain = read(seven(), tmp_path / "plain.png")
    assert mean_difference(plain, read(SAME_DIGIT[name](), tmp_path / name)) < 1


def test_a_rotated_photograph_is_turned_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: rotate clockwise to view
    turned = seven().transpose(Image.Transpose.ROTATE_90)
    upright = read(turned, tmp_path / "b.jpg", exif=exif)
    assert mean_difference(read(seven(), tmp_path / "a.png"), upright) < 1


def test_a_28x28_light_on_dark_image_is_unchanged(tmp_path: Path) -> None:
    image = np.zeros((28, 28), np.uint8)
    image[3:9, 2:7] = 200
    assert (read(Image.fromarray(image), tmp_path / "a.png") == image).all()


@pytest.mark.parametrize("grey", [0, 128, 255])
def test_a_blank_page_is_refused(tmp_path: Path, grey: int) -> None:
    with pytest.raises(BadInput, match="shows no digit"):
        read(Image.new("L", (60, 60), grey), tmp_path / "blank.png")


@pytest.mark.parametrize("damage", ["text", "empty", "cut"])
def test_a_file_that_is_no_image_is_refused(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "digit.png"
    seven().save(path)
    path.write_bytes({"text": b"hello", "empty": b"", "cut": path.read_bytes()[:200]}[damage])
    with pytest.raises(BadInput, match="cannot be read as an image") as refused:
        read_image(path)
    assert "\n" not in str(refused.value)
