"""`tenfold predict` reads CSVs, images and folders with the model that it is given."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import few_digits
from PIL import Image

from tenfold.cli import status
from tenfold_onnx import Classifier
from tenfold_onnx.images import read_image


@pytest.fixture(scope="module")
def classifier(finished_run: Path) -> Classifier:
    return Classifier(finished_run / "classifier.onnx", threads=1)


@pytest.fixture(scope="module")
def image_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    for index, image in enumerate(few_digits(3).images):
        Image.fromarray(image).save(folder / f"{index}.png")
    (folder / "notes.txt").write_text("not an image")
    return folder


Predict = Callable[..., tuple[int, list[str], list[str]]]


@pytest.fixture
def predict(finished_run: Path, capsys: pytest.CaptureFixture[str]) -> Predict:
    """`tenfold predict` with the run's classifier: exit code, lines on standard output, lines on standard error."""

    def run(*arguments: str | Path) -> tuple[int, list[str], list[str]]:
        code = status(["predict", *map(str, arguments), "--model", str(finished_run / "classifier.onnx")])
        out, err = capsys.readouterr()
        return code, out.splitlines(), err.splitlines()

    return run


def test_a_folder_is_read_image_by_image(predict: Predict, image_folder: Path, classifier: Classifier) -> None:
    images = [image_folder / f"{index}.png" for index in range(3)]
    expected = classifier.predict(np.stack([read_image(path) for path in images]))
    code, (header, *lines), _ = predict(image_folder)
    assert code == 0 and header == "Image,Label,Probability"
    assert lines == [
        f"{path},{label},{probabilities.max():.4f}"
        for path, label, probabilities in zip(images, expected.label, expected.probabilities, strict=True)
    ]


def test_a_folder_without_images_is_refused(predict: Predict, image_folder: Path) -> None:
    code, _, (message,) = predict(image_folder.parent)
    assert code == 2 and "has no image" in message


def test_images_without_a_digit_are_skipped_and_named(predict: Predict, tmp_path: Path) -> None:
    blank, digit, damaged, out = (tmp_path / name for name in ("blank.png", "digit.png", "torn.png", "labels.csv"))
    Image.new("L", (60, 60), 255).save(blank)
    Image.fromarray(few_digits(1).images[0]).save(digit)
    damaged.write_bytes(digit.read_bytes()[:60])
    code, _, (first, second, last) = predict(tmp_path, "--out", out)
    assert code == 2 and last == "tenfold: 2 of 3 files were skipped; see the lines above"
    assert first == f"skipped: {blank}: shows only background; give an image of one digit"
    assert second.startswith(f"skipped: {damaged}: cannot be read as an image")
    (line,) = out.read_text().splitlines()[1:]
    assert line.startswith(f"{digit},")
    digit.unlink()
    out.unlink()
    assert predict(tmp_path, "--out", out)[0] == 2 and not out.exists()


def test_the_most_likely_digits_come_in_order(predict: Predict, image_folder: Path, classifier: Classifier) -> None:
    image = image_folder / "1.png"
    probabilities = classifier.predict(read_image(image)).probabilities[0]
    order = np.argsort(-probabilities)[:3]
    _, (header, line), _ = predict(image, "--top", "3", "--at-least", "1")
    assert header == "Image,Label1,Probability1,Label2,Probability2,Label3,Probability3"
    cells = line.split(",")[1:]
    assert cells[0] == "-1" and [int(label) for label in cells[2::2]] == order[1:].tolist()
    assert [float(value) for value in cells[1::2]] == pytest.approx(probabilities[order], abs=1e-4)
    _, (line,), _ = predict(image, "--top", "3", "--json")
    assert [label for label, _ in json.loads(line)["top"]] == order.tolist()
