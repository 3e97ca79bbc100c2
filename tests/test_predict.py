"""`tenfold predict` reads CSVs, images and folders with the model that it is given."""

from __future__ import annotations

import json
import os
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
    assert (
        first == f"skipped: {blank}: shows no digit: no stroke stands out from its ground; give an image of one digit"
    )
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
    assert f"{noise}: shows no digit: it is full of ink or noise" in refused("predict", noise, cwd=tmp_path)
    done = in_process("predict", tmp_path, cwd=tmp_path)
    (line,) = done.stdout.splitlines()[1:]
    assert done.returncode == 2 and line.startswith(f"{one},1,")
    assert f"skipped: {noise}: shows no digit" in done.stderr and "1 of 2 files were skipped" in done.stderr
    cautious = succeeded(in_process("predict", one, "--at-least", "1", cwd=tmp_path))
    assert cautious.splitlines()[1].startswith(f"{one},-1,")


def save_number(path: Path) -> Path:
    """A picture of 2041, dark on light, of digits that the generator draws."""
    digits = drawn_digits()[[2, 0, 4, 1]]
    row = np.pad(np.concatenate(list(digits), 1), 6)
    Image.fromarray(255 - row).resize((row.shape[1] * 3, row.shape[0] * 3), Image.Resampling.BICUBIC).save(path)
    return path


def save_letter(path: Path) -> Path:
    image = Image.new("L", (120, 120), "white")
    ImageDraw.Draw(image).line([(25, 95), (45, 25), (60, 70), (75, 25), (95, 95)], fill="black", width=9)  # an M
    image.save(path)
    return path


def test_digits_in_a_row_are_read_as_a_number(tmp_path: Path) -> None:
    number, one = save_number(tmp_path / "number.png"), save_one(tmp_path / "one.png")
    header, first, second = succeeded(in_process("predict", tmp_path, "--many", cwd=tmp_path)).splitlines()
    assert header == "Image,Number,Probability"
    assert first.startswith(f"{number},2041,") and second.startswith(f"{one},1,")
    answer = json.loads(succeeded(in_process("predict", number, "--many", "--json", cwd=tmp_path)))
    digits = answer["digits"]
    assert answer["number"] == "2041" and [digit["label"] for digit in digits] == [2, 0, 4, 1]
    assert answer["probability"] == pytest.approx(np.prod([digit["probability"] for digit in digits]), abs=1e-5)
    lefts = [digit["box"][0] for digit in digits]
    assert lefts == sorted(lefts) and lefts[1] > 84


def test_a_digit_that_cannot_be_read_is_a_question_mark(tmp_path: Path) -> None:
    line = succeeded(in_process("predict", save_number(tmp_path / "n.png"), "--many", "--at-least", "1", cwd=tmp_path))
    assert set(line.splitlines()[1].split(",")[1]) <= set("?2041") and "?" in line


def test_several_digits_and_letters_are_refused_with_the_reason(tmp_path: Path) -> None:
    number, letter = save_number(tmp_path / "number.png"), save_letter(tmp_path / "letter.png")
    several = "shows no single digit: 4 things stand side by side; --many reads a number"
    assert f"{number}: {several}" in refused("predict", number, cwd=tmp_path)
    assert f"{letter}: shows no digit, but something else" in refused("predict", letter, cwd=tmp_path)
    assert f"{letter}: shows no number; give an image of digits" in refused("predict", letter, "--many", cwd=tmp_path)
    images = ("--model", shipped_models() / "classifier_light.onnx")  # through the same preparation
    assert "4 things stand side by side" in refused("predict", number, *images, cwd=tmp_path)


@pytest.mark.parametrize("many", [(), ("--many",)], ids=["one", "many"])
def test_a_threshold_outside_0_to_1_is_refused_once(tmp_path: Path, many: tuple[str, ...]) -> None:
    for name in ("one.png", "two.png"):
        save_one(tmp_path / name)
    sentence = refused("predict", tmp_path, "--at-least", "nan", *many, cwd=tmp_path)
    assert sentence == "tenfold: at-least: must be a number from 0 to 1, got nan\n"


def test_a_picture_is_not_replaced_by_its_label(tmp_path: Path) -> None:
    one = save_one(tmp_path / "one.png")
    before = one.read_bytes()
    assert "one.png: is to be read, and would be replaced" in refused("predict", one, "--out", one, cwd=tmp_path)
    assert one.read_bytes() == before


def test_a_name_that_is_no_utf8_is_written_as_it_is(tmp_path: Path) -> None:
    name = os.fsdecode(b"bad\xff.png")
    save_one(tmp_path / name)
    succeeded(in_process("predict", name, "--out", "labels.csv", cwd=tmp_path))
    assert (tmp_path / "labels.csv").read_bytes().startswith(b"Image,Label,Probability\nbad\xff.png,1,")


@pytest.mark.parametrize("size", [(2, 2), (3, 200), (200, 4)])
def test_a_picture_too_narrow_for_a_digit_is_named(tmp_path: Path, size: tuple[int, int]) -> None:
    Image.new("L", size, 255).save(tmp_path / "strip.png")
    sentence = refused("predict", "strip.png", cwd=tmp_path)
    assert f"strip.png: is {size[0]} x {size[1]} pixels, too narrow for a digit" in sentence


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("rows.csv",), "many: reads numbers in images; leave out --top, and CSVs"),
        (("one.png", "--top", "2"), "many: reads numbers in images; leave out --top"),
        (
            ("one.png", "--model", "light"),
            "light: finds no digits in a picture; give a classifier_canvas.onnx to --many",
        ),
    ],
)
def test_many_is_refused_where_there_is_one_digit(tmp_path: Path, arguments: tuple[str, ...], sentence: str) -> None:
    (tmp_path / "rows.csv").write_bytes(rows.render(drawn_digits()))
    save_one(tmp_path / "one.png")
    (tmp_path / "light").write_bytes((shipped_models() / "classifier_light.onnx").read_bytes())
    assert sentence in refused("predict", *arguments, "--many", cwd=tmp_path)


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
