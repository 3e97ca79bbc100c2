"""The runtime needs only numpy and onnxruntime, does not depend on the batch, and can be copied to other processes."""

from __future__ import annotations

import copy
import multiprocessing
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import few_digits
from kaggle_server import served
from sklearn.metrics import log_loss

from digit_recognizer import rows
from tenfold.extras import install_command
from tenfold_onnx import BadInput, CanvasClassifier, Classifier, Explainer, Generator, shipped_models

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


def test_probabilities_and_classes_have_scikit_learns_names(classifier: Classifier) -> None:
    truth = np.arange(30) % 10
    images = Generator(threads=1).generate(truth)
    for model in (classifier, CanvasClassifier(threads=1)):
        prediction, probabilities = model.predict(images), model.predict_proba(images)
        assert (probabilities == prediction.probabilities).all()
        assert model.classes_.tolist() == list(range(10))
        digits = prediction.label >= 0
        assert digits.any() and (model.classes_[probabilities.argmax(1)][digits] == prediction.label[digits]).all()
    assert log_loss(truth, classifier.predict_proba(images), labels=classifier.classes_) > 0


def test_no_labels_give_no_images(generator: Generator) -> None:
    assert generator.generate([]).shape == (0, 28, 28)


def test_an_uncertain_label_is_minus_one(classifier: Classifier) -> None:
    images = few_digits(50).images
    plain = classifier.predict(images)
    confidence = plain.probabilities.max(1)
    threshold = float(np.median(confidence))
    cautious = classifier.predict(images, at_least=threshold)
    assert (cautious.probabilities == plain.probabilities).all()
    assert (cautious.label == np.where(confidence >= threshold, plain.label, -1)).all() and (cautious.label == -1).any()


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


def test_an_older_generator_draws_digits_but_no_mixtures(generator: Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(generator.card, "contract", "1")
    assert generator.generate([3]).shape == (1, 28, 28)
    with pytest.raises(BadInput, match="older generator cannot mix digits"):
        generator.walk((3, 8), (5, 6), 7)


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
        (lambda run: Classifier(run / ("x" * 300)), r"cannot be read \(File name too long\)"),
        (lambda run: Classifier(run), r"is a folder; give one \.onnx file \(.*classifier\.onnx, .*generator\.onnx"),
        (lambda run: Classifier(run / "generator.onnx"), "must be a model from images to .* got one from z, labels to"),
        (lambda run: Classifier(run / "generator.onnx"), "it draws digits .*in Python Generator.*; give the other"),
        (lambda run: Classifier(run / "classifier_canvas.onnx"), "it reads drawings .*in Python CanvasClassifier"),
        (lambda run: Generator(run / "classifier.onnx"), "got one from images to label, probabilities; it reads 28x28"),
        (lambda run: Explainer(run / "classifier.onnx"), "label, probabilities; give the other .onnx file"),
    ],
)
def test_what_cannot_be_opened_is_refused(
    finished_run: Path, open_model: Callable[[Path], object], message: str
) -> None:
    with pytest.raises(BadInput, match=message):
        open_model(finished_run)


PAIRS = "providers: must be names, or pairs of a name and a dict of options, got "
WRONG_OPTIONS: list[tuple[dict[str, Any], str]] = [
    *(({"threads": threads}, "threads: must be an integer from 1 to 1024, got ") for threads in (0, 2.0, 10**9, True)),
    ({"threads": "2"}, "threads: must be an integer from 1 to 1024, got '2'"),
    ({"threads": b"2"}, "threads: must be an integer from 1 to 1024, got b'2'"),
    ({"providers": ["None"]}, "providers: None is not in this onnxruntime; choose from .*CPUExecutionProvider"),
    ({"providers": "CPUExecutionProvider"}, "providers: must be a list of names, such as .*, got 'CPU"),
    *(({"providers": providers}, "providers: must be a list of names") for providers in ([], None, 5, {"a": {}})),
    *(({"providers": [entry]}, PAIRS) for entry in (b"CPU", 5, ("CPUExecutionProvider",), ("a", "b"))),
    ({"providers": ("CPUExecutionProvider", {})}, PAIRS),
    *(({"verify": verify}, "verify: must be True or False, got ") for verify in ("no", None, 1)),
    *(({"path": path}, r"path: must be the path of an \.onnx file, got ") for path in (5, b"x.onnx", ["x.onnx"])),
]


@pytest.mark.parametrize(("options", "message"), WRONG_OPTIONS, ids=lambda value: str(value)[:60])
def test_wrong_options_are_refused(options: dict[str, Any], message: str) -> None:
    for kind in (Classifier, CanvasClassifier, Explainer, Generator):
        with pytest.raises(BadInput, match=message) as refusal:
            kind(**options)
        assert str(refusal.value).isprintable()


@pytest.mark.parametrize(
    "provider",
    ["CPUExecutionProvider", ("CPUExecutionProvider", {"arena_extend_strategy": "kSameAsRequested"})],
)
def test_a_provider_is_a_name_or_a_name_with_options(provider: Any) -> None:
    images = few_digits(3).images
    model = Classifier(threads=np.int64(1), providers=[provider])  # type: ignore[arg-type]
    assert model.session.get_providers() == ["CPUExecutionProvider"]
    assert (model.predict(images).label == Classifier(threads=1).predict(images).label).all()


def pickled(model: Any) -> Any:
    return pickle.loads(pickle.dumps(model))  # noqa: S301  its own bytes


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, pickled])
def test_a_copy_answers_alike_with_the_same_options(
    finished_run: Path, duplicate: Callable[[Any], Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    images, labels = few_digits(20).images, [2, 0, 2, 6]
    monkeypatch.chdir(finished_run)
    models: list[Any] = [
        Classifier("classifier.onnx", 1, [("CPUExecutionProvider", {"arena_extend_strategy": "kSameAsRequested"})]),
        CanvasClassifier(threads=1, verify=False),
        Explainer(threads=1),
        Generator(Path("generator.onnx"), threads=1),
    ]
    monkeypatch.chdir(tmp_path)  # a relative path still leads to the file
    classifier, canvas, explainer, generator = map(duplicate, models)
    assert (classifier.predict(images).probabilities == models[0].predict(images).probabilities).all()
    assert (canvas.predict(images).probabilities == models[1].predict(images).probabilities).all()
    assert (explainer.activations(images)[0] == models[2].activations(images)[0]).all()
    assert (generator.generate(labels) == models[3].generate(labels)).all()
    for model, original in zip((classifier, canvas, explainer, generator), models, strict=True):
        assert model.card == original.card and model.options == original.options and model.options.threads == 1
        assert model.session.get_session_options().intra_op_num_threads == 1
        assert model.session.get_provider_options() == original.session.get_provider_options()


def test_a_model_is_shown_with_its_path(finished_run: Path) -> None:
    assert repr(Generator(finished_run / "generator.onnx")) == f"Generator('{finished_run}/generator.onnx')"


def test_a_copy_of_a_model_that_is_gone_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "light.onnx"
    path.write_bytes((shipped_models() / "classifier_light.onnx").read_bytes())
    model = Classifier(path, threads=1)
    path.unlink()
    assert model.predict(few_digits(2).images).label.shape == (2,)
    with pytest.raises(BadInput, match=r"light\.onnx: there is no such model file"):
        copy.deepcopy(model)


def test_a_model_works_in_another_process(classifier: Classifier) -> None:
    images = few_digits(8).images
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        parts = list(pool.map(classifier.predict, [images[:4], images[4:]]))
    assert (np.concatenate([part.label for part in parts]) == classifier.predict(images).label).all()


def test_the_card_says_whether_the_model_is_honest(classifier: Classifier, generator: Generator) -> None:
    assert classifier.card["honest"] == generator.card["honest"] == "yes"
    assert classifier.card["source"] == "sample" and classifier.card["members"] == "2"


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
