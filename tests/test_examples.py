"""The example programs work unchanged. Each test is skipped where its tools are not installed."""

from __future__ import annotations

import functools
import http.server
import re
import shlex
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tenfold_onnx import CanvasClassifier, Classifier, shipped_models
from tenfold_onnx.contract import CANVAS_ONNX
from tenfold_onnx.images import read_drawing

EXAMPLES = Path(__file__).resolve().parents[1] / "export" / "examples"


def installed_example(name: str, folder: Path) -> Path:
    """A copy of an example in `folder`, with the packages of its package.json."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not installed")
    shutil.copytree(EXAMPLES / name, folder / name)
    # No scripts: onnxruntime-node's would download CUDA libraries.
    install = [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts"]
    done = subprocess.run(install, cwd=folder / name, capture_output=True, text=True, timeout=600)
    if done.returncode:
        pytest.skip(f"npm cannot install onnxruntime here: {done.stderr.strip()[-200:]}")
    return folder / name


def seven() -> np.ndarray:  # type: ignore[type-arg]
    drawing = np.full((120, 100), 255, np.uint8)
    drawing[20:30, 20:80] = drawing[20:100, 70:80] = 0
    return drawing


def test_python_reads_an_image(finished_run: Path, tmp_path: Path) -> None:
    Image.fromarray(seven()).save(tmp_path / "seven.png")
    program, model = EXAMPLES / "python" / "read_image.py", finished_run / "classifier_canvas.onnx"
    command = [sys.executable, "-I", program, model, tmp_path / "seven.png"]
    done = subprocess.run(command, capture_output=True, text=True)
    expected = CanvasClassifier(model).predict(seven())
    assert done.stdout == f"{expected.label[0]} ({expected.probabilities.max():.1%})\n", done.stderr
    Image.new("L", (50, 50), 255).save(tmp_path / "seven.png")
    assert subprocess.run(command, capture_output=True, text=True).stdout == "no digit\n"


def as_transparent(path: Path) -> None:
    picture = Image.new("RGBA", (100, 120), "white")
    picture.putalpha(Image.fromarray(255 - seven()))  # white ink on nothing
    picture.save(path)


def as_turned(path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: rotate clockwise to view
    Image.fromarray(seven()).transpose(Image.Transpose.ROTATE_90).save(path, exif=exif)


def as_sixteen_bits(path: Path) -> None:
    Image.fromarray(seven().astype(np.uint16) * 257).save(path)


@pytest.mark.parametrize("save", [as_transparent, as_turned, as_sixteen_bits])
def test_the_python_program_reads_files_as_the_product_does(save: Callable[[Path], None], tmp_path: Path) -> None:
    save(tmp_path / "seven.png")
    model = shipped_models() / CANVAS_ONNX
    command = [sys.executable, "-I", EXAMPLES / "python" / "read_image.py", model, tmp_path / "seven.png"]
    probability = CanvasClassifier(model).predict(read_drawing(tmp_path / "seven.png")).probabilities[0, 7]
    assert probability > 0.9
    assert subprocess.run(command, capture_output=True, text=True).stdout == f"7 ({probability:.1%})\n"


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("node") is None, reason="Node.js is not installed")
def test_node_draws_and_reads(finished_run: Path, tmp_path: Path) -> None:
    folder = installed_example("node", tmp_path)
    models = [finished_run / "generator.onnx", finished_run / "classifier_light.onnx"]
    done = subprocess.run(["node", "draw_and_read.mjs", *models, "7"], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    *picture, reading = done.stdout.splitlines()
    assert len(picture) == 14 and all(len(line) == 28 for line in picture)
    assert re.fullmatch(r"read as \d, \d+\.\d %", reading)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler is installed")
def test_cpp_reads_digits(finished_run: Path, tmp_path: Path) -> None:
    packages = tmp_path / "packages"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", packages, "openvino"]
    done = subprocess.run(install, capture_output=True, text=True, timeout=600)
    if done.returncode:
        pytest.skip(f"pip cannot install openvino here: {done.stderr.strip()[-200:]}")
    shown = re.search(r"^g\+\+ .*$", (EXAMPLES / "README.md").read_text(), re.MULTILINE)
    assert shown
    command = shlex.split(shown[0].replace("$OPENVINO", str(packages / "openvino")))
    command[-1] = str(tmp_path / "read_digits")
    libraries = [str(path) for path in (packages / "openvino" / "libs").glob("libopenvino.so.*")]
    command = [part for word in command for part in (libraries if word.endswith("libopenvino.so.*") else [word])]
    subprocess.run(command, cwd=EXAMPLES / "cpp", check=True, timeout=600)
    images = np.random.default_rng(0).integers(0, 256, (5, 28, 28), dtype=np.uint8)
    (tmp_path / "images").write_bytes(images.tobytes())
    model = finished_run / "classifier_light.onnx"
    program = [tmp_path / "read_digits", model, tmp_path / "images"]
    read = subprocess.run(program, capture_output=True, text=True, check=True, timeout=600).stdout.split()
    expected = Classifier(model).predict(images)
    assert [int(label) for label in read[::2]] == expected.label.tolist()
    assert [float(share) for share in read[1::2]] == pytest.approx(expected.probabilities.max(1).tolist(), abs=2e-4)


@pytest.fixture
def served(finished_run: Path, tmp_path: Path) -> Iterator[str]:
    """The browser example on a plain server, with a run's model beside it."""
    folder = installed_example("browser", tmp_path)
    shutil.copy(finished_run / "classifier_canvas.onnx", folder)
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.mark.slow
def test_a_browser_reads_a_drawing(served: str, browser: Any, finished_run: Path) -> None:
    from playwright.sync_api import expect

    page = browser.new_page()
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.goto(served)
    expect.set_options(timeout=600_000)
    result = page.locator("#result")
    expect(result).to_have_text("draw above")
    box = page.locator("#canvas").bounding_box()
    assert box
    page.mouse.move(box["x"] + 80, box["y"] + 60)
    page.mouse.down()
    for x, y in ((200, 60), (150, 150), (120, 230)):
        page.mouse.move(box["x"] + x, box["y"] + y, steps=10)
    page.mouse.up()
    expect(result).to_contain_text("%")
    pixels = page.evaluate(
        "() => [...document.getElementById('canvas').getContext('2d').getImageData(0, 0, 280, 280).data]"
    )
    drawing = np.array(pixels, np.uint8).reshape(280, 280, 4)[..., 0]
    expected = CanvasClassifier(finished_run / "classifier_canvas.onnx").predict(drawing)
    assert result.text_content() == f"{expected.label[0]} ({expected.probabilities.max() * 100:.1f} %)"
    page.locator("#clear").click()
    expect(result).to_have_text("draw above")
    assert requests and all(url.startswith(served) for url in requests)
