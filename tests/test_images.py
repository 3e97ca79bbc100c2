"""Image files of any kind reach the classifier placed as in MNIST."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from benchmarks.pictures import KINDS, draw
from PIL import Image, ImageDraw

from tenfold.sources import sample
from tenfold_onnx import BadInput, CanvasClassifier, Classifier, Generator
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


def test_a_28x28_image_on_black_is_unchanged(tmp_path: Path) -> None:
    image = np.zeros((28, 28), np.uint8)
    image[3:9, 2:7] = 200
    assert (read(Image.fromarray(image), tmp_path / "a.png") == image).all()


def test_the_canvas_model_sees_a_digit_of_mnist_as_it_stands_unless_it_is_moved() -> None:
    digit = Generator().generate([3])[0]
    shifted = np.roll(digit, -3, 0)
    as_it_stands, moved = CanvasClassifier().predict(np.stack([digit, shifted])).seen
    assert (as_it_stands == digit).all()
    assert mean_difference(moved, digit) < mean_difference(shifted, digit) / 2


@pytest.mark.parametrize("grey", [0, 128, 255])
def test_a_blank_page_is_refused(tmp_path: Path, grey: int) -> None:
    with pytest.raises(BadInput, match="shows no digit"):
        read(Image.new("L", (60, 60), grey), tmp_path / "blank.png")


def white_on_grey(paper: int) -> Image.Image:
    """A 28x28 seven in white."""
    return seven((28, 28), ink=250, paper=paper, thickness=3)


def test_a_28x28_image_on_grey_is_prepared(tmp_path: Path) -> None:
    grey = read(white_on_grey(70), tmp_path / "grey.png")
    assert grey[0].max() == 0 and grey.max() == 255  # the ground is gone
    assert Classifier().predict(grey).label.tolist() == [7]


LEVELS: dict[str, tuple[np.dtype[Any], float]] = {
    "sixteen bits.png": (np.dtype(np.uint16), 257.0),
    "twelve bits.png": (np.dtype(np.uint16), 16.0),
    "fractions.tif": (np.dtype(np.float32), 1 / 255),
    "integers.tif": (np.dtype(np.int32), 257.0),
}


@pytest.mark.parametrize("name", LEVELS)
def test_grey_levels_of_any_depth_are_read(tmp_path: Path, name: str) -> None:
    dtype, scale = LEVELS[name]
    expected = read(seven(), tmp_path / "plain.png")
    deep = Image.fromarray((np.asarray(seven()) * scale).astype(dtype))
    assert mean_difference(expected, read(deep, tmp_path / name)) < 1


def test_levels_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    levels = np.array(seven(), np.float32)
    levels[0, 0] = np.nan
    with pytest.raises(BadInput, match="NaN or infinite"):
        read(Image.fromarray(levels), tmp_path / "nan.tif")


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc here, which says how much memory was used")
def test_a_photograph_of_twelve_megapixels_takes_little_memory(tmp_path: Path) -> None:
    program = (
        "import re, sys; from tenfold_onnx import CanvasClassifier; from tenfold_onnx.images import read_drawing;"
        "print(CanvasClassifier().predict(read_drawing(sys.argv[1])).label[0]);"
        r"print(re.search(r'VmHWM:\s+(\d+) kB', open('/proc/self/status').read())[1])"
    )
    for name in ("large.jpg", "large.png"):
        seven((4000, 3000), thickness=300).convert("RGB").save(tmp_path / name)
        done = subprocess.run([sys.executable, "-c", program, tmp_path / name], capture_output=True, text=True)
        label, kib = map(int, done.stdout.split())
        assert label == 7 and kib < 300_000, (name, kib)


def test_more_than_a_hundred_megapixels_are_refused(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    with pytest.raises(BadInput, match=r"has 10001 x 10000 pixels, more than 100 million; make it smaller"):
        read(Image.new("1", (10_001, 10_000)), tmp_path / "huge.png")
    assert not recwarn.list


@pytest.mark.parametrize("kind", KINDS)
def test_pictures_of_every_kind_are_read(kind: str) -> None:
    """By the model that comes with the package; `python -m benchmarks pictures` measures it on more."""
    digits, rng = sample.load()[1].take(np.arange(0, 1000, 80)), np.random.default_rng(0)
    canvas = CanvasClassifier()
    labels = [int(canvas.predict(draw(image, kind, rng)).label[0]) for image in digits.images]
    assert np.sum(np.array(labels) == digits.labels) >= len(digits) - 1


@pytest.mark.parametrize("damage", ["text", "empty", "cut"])
def test_a_file_that_is_no_image_is_refused(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "digit.png"
    seven().save(path)
    path.write_bytes({"text": b"hello", "empty": b"", "cut": path.read_bytes()[:200]}[damage])
    with pytest.raises(BadInput, match="cannot be read as an image") as refused:
        read_image(path)
    assert "\n" not in str(refused.value)
