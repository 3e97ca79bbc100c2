"""The runtime needs numpy and onnxruntime alone, checks what it is given, and is the same in any batch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import few_digits, tenfold
from kaggle_server import served

from digit_recognizer import rows
from tenfold_onnx import BadInput, Classifier, Generator
from tenfold_onnx.images import read_image

BLOCK = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"torch", "torchvision", "onnx", "onnxscript", "onnx_ir", "pandas", "sklearn"}:
            raise ModuleNotFoundError(f"{name} is blocked", name=name)
sys.meta_path.insert(0, Blocked())
"""


def without_torch(program: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", BLOCK + program], cwd=cwd, capture_output=True, text=True, timeout=100)


@pytest.fixture(scope="module")
def classifier(finished_run: Path) -> Classifier:
    return Classifier(finished_run / "classifier.onnx", threads=1)


@pytest.fixture(scope="module")
def generator(finished_run: Path) -> Generator:
    return Generator(finished_run / "generator.onnx", threads=1)


def test_it_predicts_and_generates_where_torch_cannot_be_imported(finished_run: Path) -> None:
    done = without_torch(
        """
from tenfold_onnx import Classifier, Generator
images = Generator("generator.onnx").generate([1, 2, 3], seed=4)
print(Classifier("classifier.onnx").predict(images).probabilities.shape)
""",
        finished_run,
    )
    assert done.stdout == "(3, 10)\n", done.stderr


def test_the_command_predicts_and_generates_where_torch_cannot_be_imported(finished_run: Path, tmp_path: Path) -> None:
    (tmp_path / "test.csv").write_bytes(rows.render(few_digits(3).images))
    program = f"""
from tenfold.cli import status
assert status(["predict", {str(tmp_path / "test.csv")!r}]) == 0
assert status(["generate", "0123456789", "--out", {str(tmp_path / "drawn.csv")!r}]) == 0
assert status(["generate", "42", "--out", {str(tmp_path / "drawn.png")!r}]) == 0
assert status(["run"]) == 2
"""
    done = without_torch(program, finished_run)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("ImageId,Label\n1,")
    assert done.stderr == "tenfold: torch is not installed; pip install 'tenfold[train]'\n"
    images, labels = rows.read_csv(tmp_path / "drawn.csv", labelled=True)
    assert labels is not None and labels.tolist() == list(range(10)) and images.any()
    assert (tmp_path / "drawn.png").read_bytes().startswith(b"\x89PNG")


def test_importing_the_runtime_loads_numpy_and_onnxruntime_alone(finished_run: Path) -> None:
    program = """
import tenfold_onnx.runtime
loaded = {name.partition(".")[0] for name in sys.modules}
print(sorted(loaded & {"torch", "pandas", "PIL", "tenfold", "cyclopts", "onnx"}))
"""
    assert without_torch(program, finished_run).stdout == "[]\n"


def test_a_digit_is_read_alike_alone_and_in_any_company(classifier: Classifier) -> None:
    images = few_digits(1100).images
    together = classifier.predict(images)
    assert together.probabilities.sum(1) == pytest.approx(np.ones(1100), abs=1e-5)
    assert (together.label == together.probabilities.argmax(1)).all()
    for place in (0, 511, 512, 1099):
        assert classifier.predict(images[place]).probabilities[0] == pytest.approx(
            together.probabilities[place], abs=1e-6
        )


def test_no_images_are_an_empty_answer(classifier: Classifier, generator: Generator) -> None:
    said = classifier.predict(np.empty((0, 28, 28), np.uint8))
    assert said.probabilities.shape == (0, 10) and said.label.shape == (0,) and said.label.dtype == np.int64
    assert generator.generate([]).shape == (0, 28, 28)


@pytest.mark.parametrize(
    ("images", "complaint"),
    [
        (np.zeros((2, 28, 28), np.float32), "are float32 where uint8"),
        (np.zeros((2, 28, 28), np.int64), "are int64 where uint8"),
        (np.zeros((2, 1, 28, 28), np.uint8), r"shape \(2, 1, 28, 28\) where \(N, 28, 28\)"),
        (np.zeros((2, 784), np.uint8), r"shape \(1, 2, 784\)"),
        (np.zeros(784, np.uint8), r"shape \(784,\)"),
    ],
)
def test_wrong_images_are_refused_in_words(classifier: Classifier, images: np.ndarray, complaint: str) -> None:  # type: ignore[type-arg]
    with pytest.raises(BadInput, match=complaint):
        classifier.predict(images)


def test_an_answer_that_is_not_sure_enough_is_none(classifier: Classifier) -> None:
    images = few_digits(50).images
    plain = classifier.predict(images)
    sure = plain.probabilities.max(1)
    threshold = float(np.median(sure))
    asked = classifier.predict(images, at_least=threshold)
    assert (asked.probabilities == plain.probabilities).all()
    assert (asked.label == np.where(sure >= threshold, plain.label, -1)).all() and (asked.label == -1).any()
    for wrong in (-0.1, 1.1, "0.5", float("nan"), True):
        with pytest.raises(BadInput, match="at_least: is"):
            classifier.predict(images, at_least=wrong)  # type: ignore[arg-type]


def test_a_walk_begins_and_ends_at_its_seeds_and_keeps_to_likely_latents(generator: Generator) -> None:
    way = generator.walk(3, (5, 6), 7)
    assert way.shape == (7, 28, 28)
    for step, seed in ((0, 5), (-1, 6)):
        assert np.abs(way[step].astype(int) - generator.generate([3], seed=seed)[0].astype(int)).max() <= 1
    assert len(np.unique(way.reshape(7, -1), axis=0)) == 7
    assert (generator.walk(3, (5, 5), 2) == generator.generate([3], seed=5)).all()
    with pytest.raises(BadInput, match="steps: are 1"):
        generator.walk(3, (5, 6), 1)
    with pytest.raises(BadInput, match="labels: hold 10"):
        generator.walk(10, (5, 6), 3)


def test_a_model_tells_its_contract_and_card(finished_run: Path, tmp_path: Path) -> None:
    done = without_torch("from tenfold.cli import status; status(['info', 'classifier_light.onnx'])", finished_run)
    lines = dict(line.split("  ", 1) for line in done.stdout.splitlines())
    told = {name.strip(): value.strip() for name, value in lines.items()}
    assert told["input images"] == "uint8 (batch, 28, 28)" and told["output label"] == "int64 (batch,)"
    assert told["output probabilities"] == "float32 (batch, 10)" and told["honest"] == "yes"
    done = without_torch("from tenfold.cli import status; status(['info', 'generator.onnx', '--json'])", finished_run)
    told = json.loads(done.stdout)
    assert told["inputs"] == {"z": "float32 (batch, 64)", "labels": "int64 (batch,)"}
    assert told["card"]["source"] == "sample"


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from PIL import Image

    folder = tmp_path_factory.mktemp("pictures")
    for place, image in enumerate(few_digits(3).images):
        Image.fromarray(image).save(folder / f"{place}.png")
    (folder / "notes.txt").write_text("no picture")
    return folder


def predicted(finished_run: Path, *arguments: str | Path) -> list[str]:
    done = tenfold("predict", *arguments, "--model", finished_run / "classifier.onnx", cwd=finished_run)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_a_folder_is_read_picture_by_picture(finished_run: Path, pictures: Path, classifier: Classifier) -> None:
    said = classifier.predict(np.stack([read_image(pictures / f"{place}.png") for place in range(3)]))
    header, *lines = predicted(finished_run, pictures)
    assert header == "Image,Label,Probability"
    for place, line in enumerate(lines):
        assert line == f"{pictures / f'{place}.png'},{said.label[place]},{said.probabilities[place].max():.4f}"
    assert len(lines) == 3
    refused = tenfold("predict", pictures.parent, cwd=finished_run)
    assert refused.returncode == 2 and "holds no picture" in refused.stderr


def test_a_picture_of_nothing_does_not_keep_the_others_from_being_read(finished_run: Path, tmp_path: Path) -> None:
    from PIL import Image

    blank, digit, damaged = tmp_path / "blank.png", tmp_path / "digit.png", tmp_path / "torn.png"
    Image.new("L", (60, 60), 255).save(blank)
    Image.fromarray(few_digits(1).images[0]).save(digit)
    damaged.write_bytes(digit.read_bytes()[:60])
    command = ("predict", tmp_path, "--model", finished_run / "classifier.onnx", "--out", tmp_path / "said.csv")
    done = tenfold(*command, cwd=tmp_path)
    first, second, last = done.stderr.splitlines()
    assert done.returncode == 2 and last == "tenfold: 2 of 3 files hold no digit that can be read; see the lines above"
    assert first == f"left out: {blank}: shows nothing but background; give an image of one digit"
    assert second.startswith(f"left out: {damaged}: is no image that can be read")
    (line,) = (tmp_path / "said.csv").read_text().splitlines()[1:]
    assert line.startswith(f"{digit},")
    digit.unlink()
    (tmp_path / "said.csv").unlink()
    assert tenfold(*command, cwd=tmp_path).returncode == 2 and not (tmp_path / "said.csv").exists()


def test_the_likeliest_digits_come_in_order(finished_run: Path, pictures: Path, classifier: Classifier) -> None:
    p = classifier.predict(read_image(pictures / "1.png")).probabilities[0]
    order = np.argsort(-p)[:3]
    header, line = predicted(finished_run, pictures / "1.png", "--top", "3", "--at-least", "1")
    assert header == "Image,Label1,Probability1,Label2,Probability2,Label3,Probability3"
    cells = line.split(",")[1:]
    assert cells[0] == "-1" and [int(label) for label in cells[2::2]] == order[1:].tolist()
    assert [float(value) for value in cells[1::2]] == pytest.approx(p[order], abs=1e-4)
    (line,) = predicted(finished_run, pictures / "1.png", "--top", "3", "--json")
    assert [label for label, _ in json.loads(line)["top"]] == order.tolist()


@pytest.mark.parametrize("labels", [[-1], [10], [3, 99], [0.5], [[1, 2]], ["3"]])
def test_labels_outside_the_digits_are_refused(generator: Generator, labels: object) -> None:
    with pytest.raises(BadInput, match="labels: "):
        generator.generate(labels)  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", [-1, 0.5, True, "1"])
def test_seeds_that_are_none_are_refused(generator: Generator, seed: object) -> None:
    with pytest.raises(BadInput, match="seed: "):
        generator.generate([1], seed=seed)  # type: ignore[arg-type]


def test_the_seed_decides_the_drawing_and_z_replaces_it(generator: Generator) -> None:
    labels = [7] * 600
    drawn = generator.generate(labels, seed=5)
    assert drawn.shape == (600, 28, 28) and drawn.dtype == np.uint8
    assert (drawn == generator.generate(labels, seed=5)).all()
    assert (drawn != generator.generate(labels, seed=6)).any()
    assert (drawn == generator.generate(labels, z=generator.latent(600, seed=5))).all()
    with pytest.raises(BadInput, match="z: is float64"):
        generator.generate([1], z=np.zeros((1, generator.z_dim)))  # type: ignore[arg-type]


def test_files_that_are_no_such_model_are_refused(finished_run: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="there is no such model file"):
        Classifier(tmp_path / "nowhere.onnx")
    with pytest.raises(BadInput, match=r"is a folder; give one \.onnx file \(.*classifier\.onnx, .*generator\.onnx"):
        Classifier(finished_run)
    whole = (finished_run / "classifier.onnx").read_bytes()
    for name, data in {"empty": b"", "text": b"hello", "cut": whole[: len(whole) // 2]}.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(BadInput, match="is no ONNX model that onnxruntime can load") as refused:
            Classifier(tmp_path / name)
        assert "\n" not in str(refused.value)
    with pytest.raises(BadInput, match="takes z, labels and gives images, where a model that takes images"):
        Classifier(finished_run / "generator.onnx")
    with pytest.raises(BadInput, match="takes images"):
        Generator(finished_run / "classifier.onnx")


def test_providers_and_threads_that_are_not_there_are_refused(finished_run: Path) -> None:
    with pytest.raises(BadInput, match="NoSuchProvider is not in this onnxruntime"):
        Classifier(finished_run / "classifier.onnx", providers=["NoSuchProvider"])
    with pytest.raises(BadInput, match="threads: is 0"):
        Classifier(finished_run / "classifier.onnx", threads=0)


def test_the_card_says_whether_the_model_is_honest(classifier: Classifier, generator: Generator) -> None:
    assert classifier.card["honest"] == generator.card["honest"] == "yes"
    assert classifier.card["source"] == "sample" and classifier.card["members"] == "2"


@pytest.mark.slow
def test_nothing_is_reported_to_any_host(finished_run: Path) -> None:
    """onnxruntime reports its use unless told not to before it is loaded; left alone it
    would reach the test's own server after some ten seconds."""
    program = """
import sys, time
from tenfold_onnx import Classifier, Generator
images = Generator(sys.argv[2]).generate([1, 2, 3])
assert Classifier(sys.argv[1]).predict(images).label.shape == (3,)
time.sleep(13)
"""
    with served() as server:
        here = dict.fromkeys(("http_proxy", "https_proxy", "HTTPS_PROXY"), f"http://127.0.0.1:{server.port}")
        cleared = ("ORT_DISABLE_TELEMETRY", "CI", "NO_PROXY", "no_proxy")  # it keeps quiet in CI by itself
        environment = {key: value for key, value in os.environ.items() if key not in cleared} | here
        models = [finished_run / "classifier.onnx", finished_run / "generator.onnx"]
        subprocess.run([sys.executable, "-c", program, *models], env=environment, check=True)
        assert server.asked == []
