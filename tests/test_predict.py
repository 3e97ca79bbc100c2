"""`tenfold predict` reads CSVs, images and folders with the model that it is given."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import in_process, refused, succeeded
from PIL import Image, ImageDraw

from digit_recognizer import rows
from tenfold.cli import status
from tenfold_onnx import CanvasClassifier, Classifier, Generator, shipped_models
from tenfold_onnx.images import read_image


@pytest.fixture(scope="module")
def classifier(finished_run: Path) -> Classifier:
    return Classifier(finished_run / "classifier.onnx", threads=1)


@pytest.fixture(scope="module")
def image_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    for index, image in enumerate(drawn_digits()[:3]):
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
    Image.fromarray(drawn_digits()[0]).save(digit)
    damaged.write_bytes(digit.read_bytes()[:60])
    code, _, (first, second, last) = predict(tmp_path, "--out", out)
    assert code == 2 and last == "tenfold: 2 of 3 files were skipped; see the lines above"
    assert first == f"skipped: {blank}: shows no digit; give an image of one digit"
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


CANVAS = ("--model", shipped_models() / "classifier_canvas.onnx")


def save_one(path: Path, size: tuple[int, int] = (90, 120), mode: str = "L") -> Path:
    """A picture of a one, dark on light."""
    image, (w, h) = Image.new(mode, size, "white"), size
    ImageDraw.Draw(image).line([(w * 0.5, h * 0.2), (w * 0.5, h * 0.8)], fill="black", width=w // 9)
    image.save(path)
    return path


def save_noise(path: Path) -> Path:
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (90, 90), dtype=np.uint8)).save(path)
    return path


def drawn_digits() -> np.ndarray:  # type: ignore[type-arg]
    return Generator(threads=1).generate(np.arange(10))


@pytest.mark.parametrize("model", [(), CANVAS], ids=["no model named", "the canvas model"])
def test_images_are_drawings_for_the_canvas_model(tmp_path: Path, model: tuple[str | Path, ...]) -> None:
    picture, photograph = save_one(tmp_path / "one.png"), save_one(tmp_path / "photo.jpg", (5000, 4200), "RGB")
    out = succeeded(in_process("predict", picture, photograph, *model, "--json", cwd=tmp_path))
    small, large = (json.loads(line) for line in out.splitlines())
    assert small["label"] == large["label"] == 1
    expected = CanvasClassifier(threads=1).predict_proba(Image.open(picture))[0]
    assert small["probabilities"] == pytest.approx(expected.tolist(), abs=1e-6)


def test_an_image_that_shows_no_digit_is_named(tmp_path: Path) -> None:
    noise, one = save_noise(tmp_path / "noise.png"), save_one(tmp_path / "one.png")
    assert f"{noise}: shows no digit; give an image of one digit" in refused("predict", noise, cwd=tmp_path)
    done = in_process("predict", tmp_path, cwd=tmp_path)
    (line,) = done.stdout.splitlines()[1:]
    assert done.returncode == 2 and line.startswith(f"{one},1,")
    assert f"skipped: {noise}: shows no digit" in done.stderr and "1 of 2 files were skipped" in done.stderr
    cautious = succeeded(in_process("predict", one, "--at-least", "1", cwd=tmp_path))
    assert cautious.splitlines()[1].startswith(f"{one},-1,")


def test_rows_may_be_drawings_for_the_canvas_model(tmp_path: Path) -> None:
    digits = drawn_digits()
    (tmp_path / "digits.csv").write_bytes(rows.render(digits))
    done = in_process("predict", "digits.csv", *CANVAS, cwd=tmp_path)
    assert succeeded(done) == "ImageId,Label\n" + "".join(f"{digit + 1},{digit}\n" for digit in range(10))
    assert done.stderr == ""
    digits[3] = 0
    (tmp_path / "digits.csv").write_bytes(rows.render(digits))
    done = in_process("predict", "digits.csv", *CANVAS, cwd=tmp_path)
    assert succeeded(done).splitlines()[4] == "4,-1"
    assert done.stderr.startswith("digits.csv: 1 of 10 rows have label -1, so this cannot be submitted")


def test_each_kind_of_input_gets_its_model(tmp_path: Path) -> None:
    (tmp_path / "digits.csv").write_bytes(rows.render(drawn_digits()))
    save_one(tmp_path / "one.png")
    answers = succeeded(in_process("predict", "digits.csv", "one.png", "--json", cwd=tmp_path)).splitlines()
    probabilities = [json.loads(line)["probabilities"] for line in answers]
    assert np.array(probabilities[:10]) == pytest.approx(Classifier(threads=1).predict_proba(drawn_digits()), abs=1e-6)
    assert json.loads(answers[10])["label"] == 1


def test_a_model_that_reads_nothing_is_refused(tmp_path: Path) -> None:
    save_one(tmp_path / "one.png")
    sentence = refused("predict", "one.png", "--model", shipped_models() / "generator.onnx", cwd=tmp_path)
    assert "generator.onnx: must be a model from images to" in sentence and "it draws digits (`tenfold gen" in sentence
    canvas = refused("generate", "1", *CANVAS, "--out", "one.png", cwd=tmp_path)
    assert "it reads drawings (`tenfold predict`" in canvas
