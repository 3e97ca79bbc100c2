"""The runtime needs only numpy and onnxruntime, validates its inputs, and does not depend on the batch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from conftest import few_digits, refused
from kaggle_server import served
from PIL import Image

from digit_recognizer import rows
from tenfold.cli import status
from tenfold.extras import install_command
from tenfold.models.export import MODELS
from tenfold_onnx import BadInput, Classifier, Generator, shipped_models
from tenfold_onnx.contract import labels_between
from tenfold_onnx.images import read_image

BLOCK_TORCH = """
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"torch", "torchvision", "onnx", "onnxscript", "onnx_ir", "pandas", "sklearn"}:
            raise ModuleNotFoundError(f"{name} is blocked", name=name)
sys.meta_path.insert(0, Blocker())
"""


def run_without_torch(program: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", BLOCK_TORCH + program]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=600)


@pytest.fixture(scope="module")
def classifier(finished_run: Path) -> Classifier:
    return Classifier(finished_run / "classifier.onnx", threads=1)


@pytest.fixture(scope="module")
def generator(finished_run: Path) -> Generator:
    return Generator(finished_run / "generator.onnx", threads=1)


def test_the_runtime_works_without_torch(finished_run: Path) -> None:
    done = run_without_torch(
        """
from tenfold_onnx import Classifier, Generator
images = Generator("generator.onnx").generate([1, 2, 3], seed=4)
print(Classifier("classifier.onnx").predict(images).probabilities.shape)
""",
        finished_run,
    )
    assert done.stdout == "(3, 10)\n", done.stderr


def test_the_command_works_without_torch(finished_run: Path, tmp_path: Path) -> None:
    (tmp_path / "test.csv").write_bytes(rows.render(few_digits(3).images))
    program = f"""
from tenfold.cli import status
from tenfold.extras import install_command
assert status(["predict", {str(tmp_path / "test.csv")!r}]) == 0
assert status(["generate", "0123456789", "--out", {str(tmp_path / "drawn.csv")!r}]) == 0
assert status(["generate", "42", "--out", {str(tmp_path / "drawn.png")!r}]) == 0
assert status(["info", "classifier_light.onnx"]) == 0
assert status(["run"]) == 2
"""
    done = run_without_torch(program, finished_run)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("ImageId,Label\n1,")
    assert done.stderr == f"tenfold: pandas is not installed; {install_command('train')}\n"
    images, labels = rows.read_csv(tmp_path / "drawn.csv", labelled=True)
    assert labels is not None and labels.tolist() == list(range(10)) and images.any()
    assert (tmp_path / "drawn.png").read_bytes().startswith(b"\x89PNG")


def test_importing_the_runtime_loads_nothing_heavy(tmp_path: Path) -> None:
    program = """
import tenfold_onnx.runtime
loaded = {name.partition(".")[0] for name in sys.modules}
print(sorted(loaded & {"torch", "pandas", "PIL", "tenfold", "cyclopts", "onnx"}))
"""
    assert run_without_torch(program, tmp_path).stdout == "[]\n"


def test_a_digit_reads_the_same_alone_and_in_a_batch(classifier: Classifier) -> None:
    images = few_digits(1100).images
    batch = classifier.predict(images)
    assert batch.probabilities.sum(1) == pytest.approx(np.ones(1100), abs=1e-5)
    assert (batch.label == batch.probabilities.argmax(1)).all()
    for row in (0, 511, 512, 1099):
        assert classifier.predict(images[row]).probabilities[0] == pytest.approx(batch.probabilities[row], abs=1e-6)


def test_no_images_give_an_empty_prediction(classifier: Classifier, generator: Generator) -> None:
    prediction = classifier.predict(np.empty((0, 28, 28), np.uint8))
    assert prediction.probabilities.shape == (0, 10)
    assert prediction.label.shape == (0,) and prediction.label.dtype == np.int64
    assert generator.generate([]).shape == (0, 28, 28)


@pytest.mark.parametrize(
    ("images", "got"),
    [
        (np.zeros((2, 28, 28), np.float32), r"float32 \(2, 28, 28\)"),
        (np.zeros((2, 28, 28), np.int64), r"int64 \(2, 28, 28\)"),
        (np.zeros((2, 1, 28, 28), np.uint8), r"uint8 \(2, 1, 28, 28\)"),
        (np.zeros((2, 784), np.uint8), r"uint8 \(2, 784\)"),
        (np.zeros(784, np.uint8), r"uint8 \(784,\)"),
    ],
)
def test_wrong_images_are_refused(classifier: Classifier, images: npt.NDArray[np.uint8], got: str) -> None:
    with pytest.raises(BadInput, match=rf"images: must be uint8 \(N, 28, 28\), got {got}"):
        classifier.predict(images)


def test_an_uncertain_label_is_minus_one(classifier: Classifier) -> None:
    images = few_digits(50).images
    plain = classifier.predict(images)
    confidence = plain.probabilities.max(1)
    threshold = float(np.median(confidence))
    cautious = classifier.predict(images, at_least=threshold)
    assert (cautious.probabilities == plain.probabilities).all()
    assert (cautious.label == np.where(confidence >= threshold, plain.label, -1)).all() and (cautious.label == -1).any()


@pytest.mark.parametrize("threshold", [-0.1, 1.1, "0.5", float("nan"), True])
def test_a_threshold_outside_0_to_1_is_refused(classifier: Classifier, threshold: float) -> None:
    with pytest.raises(BadInput, match="at_least: must be a number from 0 to 1, got"):
        classifier.predict(few_digits(1).images, at_least=threshold)


def test_a_walk_starts_and_ends_at_its_seeds(generator: Generator) -> None:
    images = generator.walk(3, (5, 6), 7)
    assert images.shape == (7, 28, 28)
    for step, seed in ((0, 5), (-1, 6)):
        assert np.abs(images[step].astype(int) - generator.generate([3], seed=seed)[0].astype(int)).max() <= 1
    assert len(np.unique(images.reshape(7, -1), axis=0)) == 7
    assert (generator.walk(3, (5, 5), 2) == generator.generate([3], seed=5)).all()


def test_a_walk_leads_from_one_digit_to_another(generator: Generator) -> None:
    images = generator.walk((3, 8), (5, 6), 7)
    assert (images[0] == generator.walk(3, (5, 6), 7)[0]).all() and (
        images[-1] == generator.walk(8, (5, 6), 7)[-1]
    ).all()
    assert len(np.unique(images.reshape(7, -1), axis=0)) == 7


@pytest.mark.parametrize("share", [-0.1, 1.1])
def test_a_share_outside_0_to_1_is_no_label(share: float) -> None:
    with pytest.raises(BadInput, match="share: must be numbers from 0 to 1"):
        labels_between(3, 8, [share])


def test_an_older_generator_draws_digits_but_no_mixtures(generator: Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(generator.card, "contract", "1")
    assert generator.generate([3]).shape == (1, 28, 28)
    with pytest.raises(BadInput, match="older generator cannot mix digits"):
        generator.walk((3, 8), (5, 6), 7)


@pytest.mark.parametrize(
    ("label", "steps", "message"),
    [(3, 1, "steps: must be an integer ≥ 2, got 1"), (10, 3, "labels: must be digits 0..9, got 10")],
)
def test_a_wrong_walk_is_refused(generator: Generator, label: int, steps: int, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        generator.walk(label, (5, 6), steps)


@pytest.mark.parametrize("labels", [[-1], [10], [3, 99], [0.5], [[1, 2]], ["3"]])
def test_labels_other_than_digits_are_refused(generator: Generator, labels: object) -> None:
    with pytest.raises(BadInput, match="labels: must be"):
        generator.generate(labels)  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", [-1, 0.5, True, "1"])
def test_a_seed_that_is_no_natural_number_is_refused(generator: Generator, seed: object) -> None:
    with pytest.raises(BadInput, match="seed: must be an integer ≥ 0, got"):
        generator.generate([1], seed=seed)  # type: ignore[arg-type]


def test_seed_and_z_determine_the_images(generator: Generator) -> None:
    labels = [7] * 600
    images = generator.generate(labels, seed=5)
    assert images.shape == (600, 28, 28) and images.dtype == np.uint8
    assert (images == generator.generate(labels, seed=5)).all()
    assert (images != generator.generate(labels, seed=6)).any()
    assert (images == generator.generate(labels, z=generator.latent(600, seed=5))).all()
    with pytest.raises(BadInput, match=r"z: must be float32 \(1, 64\), got float64 \(1, 64\)"):
        generator.generate([1], z=np.zeros((1, generator.z_dim)))  # type: ignore[arg-type]


@pytest.mark.parametrize("damage", ["empty", "text", "cut"])
def test_a_damaged_model_file_is_refused(finished_run: Path, tmp_path: Path, damage: str) -> None:
    whole = (finished_run / "classifier.onnx").read_bytes()
    (tmp_path / "x").write_bytes({"empty": b"", "text": b"hello", "cut": whole[: len(whole) // 2]}[damage])
    with pytest.raises(BadInput, match="cannot be loaded as an ONNX model") as refused:
        Classifier(tmp_path / "x")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("open_model", "message"),
    [
        (lambda run: Classifier(run / "nowhere.onnx"), "there is no such model file"),
        (lambda run: Classifier(run), r"is a folder; give one \.onnx file \(.*classifier\.onnx, .*generator\.onnx"),
        (lambda run: Classifier(run / "generator.onnx"), "must be a model from images to .* got one from z, labels to"),
        (lambda run: Generator(run / "classifier.onnx"), "got one from images to label, probabilities; give the other"),
        (lambda run: Classifier(run / "classifier.onnx", providers=["None"]), "None is not in this onnxruntime"),
        (lambda run: Classifier(run / "classifier.onnx", threads=0), "threads: must be an integer ≥ 1, got 0"),
    ],
)
def test_what_cannot_be_opened_is_refused(
    finished_run: Path, open_model: Callable[[Path], object], message: str
) -> None:
    with pytest.raises(BadInput, match=message):
        open_model(finished_run)


def test_the_card_says_whether_the_model_is_honest(classifier: Classifier, generator: Generator) -> None:
    assert classifier.card["honest"] == generator.card["honest"] == "yes"
    assert classifier.card["source"] == "sample" and classifier.card["members"] == "2"


def test_info_prints_inputs_outputs_and_card(finished_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert status(["info", str(finished_run / "classifier_light.onnx")]) == 0
    lines = dict(line.split("  ", 1) for line in capsys.readouterr().out.splitlines())
    shown = {name.strip(): value.strip() for name, value in lines.items()}
    assert shown["input images"] == "uint8 (batch, 28, 28)" and shown["output label"] == "int64 (batch,)"
    assert shown["output probabilities"] == "float32 (batch, 10)" and shown["honest"] == "yes"
    assert status(["info", str(finished_run / "generator.onnx"), "--json"]) == 0
    table = json.loads(capsys.readouterr().out)
    assert table["inputs"] == {"z": "float32 (batch, 64)", "labels": "int64 (batch,)"}
    assert table["card"]["source"] == "sample"


def test_info_describes_every_model_of_a_folder(finished_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, folder in (([str(finished_run)], finished_run), ([], shipped_models())):
        assert status(["info", "--json", *arguments]) == 0
        described = [json.loads(line)["file"] for line in capsys.readouterr().out.splitlines()]
        assert described == sorted(str(path) for path in folder.glob("*.onnx")) != []
    assert status(["info", str(finished_run)]) == 0
    assert capsys.readouterr().out.count("\n\nfile ") == len(MODELS) - 1
    assert "has no .onnx file" in refused("info", finished_run / "light", cwd=finished_run)


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


@pytest.mark.slow
def test_onnxruntime_reports_to_no_host(finished_run: Path) -> None:
    """onnxruntime reports usage after some ten seconds, unless told not to before it is loaded."""
    program = """
import sys, time
from tenfold_onnx import Classifier, Generator
images = Generator(sys.argv[2]).generate([1, 2, 3])
assert Classifier(sys.argv[1]).predict(images).label.shape == (3,)
time.sleep(13)
"""
    with served() as server:
        proxies = dict.fromkeys(("http_proxy", "https_proxy", "HTTPS_PROXY"), f"http://127.0.0.1:{server.port}")
        cleared = ("ORT_DISABLE_TELEMETRY", "CI", "NO_PROXY", "no_proxy")  # in CI it is silent anyway
        environment = {key: value for key, value in os.environ.items() if key not in cleared} | proxies
        models = [finished_run / "classifier.onnx", finished_run / "generator.onnx"]
        subprocess.run([sys.executable, "-c", program, *models], env=environment, check=True)
        assert server.requests == []
