"""A run holds together: what it predicts is what it submits, and nothing that stops it changes the result."""

from __future__ import annotations

import json
import re
import shutil
import signal
import struct
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from conftest import (
    HANG_S,
    SAME_BYTES,
    SMOKE,
    TINY,
    differing,
    in_process,
    one_sentence,
    refused,
    succeeded,
    wait_until,
)

from digit_recognizer import competition, files, rows, submission
from tenfold.evaluation.cross_validation import tempered
from tenfold.models.inference import probabilities
from tenfold.models.weights import TrainedNets
from tenfold.sources import mnist, sample
from tenfold.storage.run_folder import RunFolder
from tenfold_onnx import Classifier, Generator
from tenfold_onnx.write.export import with_card


def test_it_leaves_every_file_that_was_promised(finished_run: Path) -> None:
    names = {str(path.relative_to(finished_run)) for path in finished_run.rglob("*") if path.is_file()}
    assert names >= {
        *SAME_BYTES,
        *("settings.toml", "environment.json", "data.json", "metrics.json", "metrics.jsonl"),
        "fold-0-generator/grids/epoch-001.png",
    }
    assert not any(name.endswith((".pt", ".pth", ".pkl", ".tmp")) or "checkpoint" in name for name in names)
    metrics = json.loads((finished_run / "metrics.json").read_text())
    assert metrics["honest"] is True and metrics["judge"]["rows"] == 1000
    assert metrics["cross_validation"]["mean"] == pytest.approx(np.mean(metrics["cross_validation"]["folds"]))
    # Two folds and the models for other programs: one cGAN epoch and two classifier epochs each.
    assert len((finished_run / "metrics.jsonl").read_text().splitlines()) == 3 * (1 + 2)


def test_out_of_fold_answers_come_from_nets_without_that_row(finished_run: Path) -> None:
    metrics = json.loads((finished_run / "metrics.json").read_text())
    with np.load(finished_run / "oof.npz") as oof:
        assert oof["probabilities"].shape == (4000, 10) and set(oof["fold"].tolist()) == {0, 1}
        for fold in (0, 1):
            with np.load(finished_run / f"fold-{fold}-net-0" / "answers.npz") as answers:
                expected = tempered(answers["validation"], metrics["temperature"])
            assert (oof["probabilities"][oof["fold"] == fold] == expected).all()
        errors = int((oof["probabilities"].argmax(1) != oof["labels"]).sum())
    assert errors == metrics["cross_validation"]["errors"]


def test_predicting_the_test_csv_gives_the_submission(finished_run: Path, tmp_path: Path) -> None:
    (tmp_path / "test.csv").write_bytes(rows.render(sample.load()[1].images))
    command = ("predict", "test.csv", "--model", finished_run / "classifier.onnx", "--out", "a.csv")
    succeeded(in_process(*command, cwd=tmp_path))
    assert (tmp_path / "a.csv").read_bytes() == (finished_run / "submission.csv").read_bytes()


def test_the_exported_ensemble_is_the_mean_of_the_folds(finished_run: Path) -> None:
    images = sample.load()[1].images
    run = RunFolder(finished_run)
    nets = TrainedNets.load(run, run.settings()).ensemble
    mean = np.mean([probabilities(net, images, torch.device("cpu")) for net in nets], axis=0)
    expected = tempered(mean, json.loads((finished_run / "metrics.json").read_text())["temperature"])
    assert len(nets) == 2
    answer = Classifier(finished_run / "classifier.onnx").predict(images)
    assert answer.probabilities == pytest.approx(expected, abs=1e-5)
    assert (submission.read(finished_run / "submission.csv") == answer.label).all()


def test_scoring_the_submission_agrees_with_the_run(finished_run: Path, tmp_path: Path) -> None:
    errors = json.loads((finished_run / "metrics.json").read_text())["judge"]["errors"]
    command = ("score", finished_run / "submission.csv", "--source", "sample")
    assert f"({errors} errors)" in succeeded(in_process(*command, cwd=tmp_path))


@pytest.mark.slow
def test_exporting_again_gives_the_same_bytes(finished_run: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(finished_run, tmp_path / "Abschrift №2")
    (copy / "classifier.onnx").unlink()
    succeeded(in_process("export", copy, cwd=tmp_path))
    assert differing(copy, finished_run) == []


def test_a_finished_run_is_not_run_again(finished_run: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(finished_run, tmp_path / "run")
    before = (copy / "metrics.jsonl").stat().st_mtime_ns
    assert "is complete already" in succeeded(in_process(*SMOKE, "--out", copy, cwd=tmp_path))
    assert (copy / "metrics.jsonl").stat().st_mtime_ns == before


def test_other_settings_in_its_folder_are_refused(finished_run: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(finished_run, tmp_path / "run")
    sentence = refused(*SMOKE, "--out", copy, "--fit.lr", "0.001", cwd=tmp_path)
    assert "fit.lr is 0.001" in sentence and "0.008" in sentence


@pytest.mark.slow
def test_a_killed_run_ends_with_the_same_bytes(finished_run: Path, tmp_path: Path) -> None:
    """Killed while its first nets train: some have a checkpoint, none is done."""
    run = RunFolder(tmp_path / "run")
    with subprocess.Popen(
        [sys.executable, "-m", "tenfold", *SMOKE, "--out", "run"],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as running:
        wait_until(run.epoch_log.read)
        running.kill()
    assert running.returncode == -signal.SIGKILL
    assert 0 < len(run.epoch_log.read()) < 9
    succeeded(in_process(*SMOKE, "--out", "run", cwd=tmp_path))
    assert differing(run.path, finished_run) == []
    epochs = [(epoch.task, epoch.stage, epoch.epoch) for epoch in run.epoch_log.read()]
    assert len(epochs) == len(set(epochs)) == 9


@pytest.mark.slow
def test_a_lost_or_damaged_result_is_fitted_anew(finished_run: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(finished_run, tmp_path / "run")
    weights = copy / "fold-1-net-0" / "classifier.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    text = succeeded(in_process(*SMOKE, "--out", copy, cwd=tmp_path))
    assert re.search(r"^fold-1-net-0 .*: its result was changed or removed", text, re.MULTILINE)
    assert re.search(rf"^{re.escape(str(copy))} .*\b7 epochs", text, re.MULTILINE)  # of nine
    assert "fold-1-net-0: 2 epochs" in text and text.count(" epochs in ") == 1
    assert differing(copy, finished_run) == []


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_says_that_the_run_continues(how: signal.Signals, tmp_path: Path) -> None:
    running = subprocess.Popen(
        [sys.executable, "-m", "tenfold", *SMOKE, "--out", "run"],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        # A background job of a script has Ctrl-C ignored; SIGTERM must reach it all the same.
        preexec_fn=(lambda: signal.signal(signal.SIGINT, signal.SIG_IGN)) if how == signal.SIGTERM else None,
    )
    wait_until((tmp_path / "run" / "data.json").exists)
    running.send_signal(how)
    _, message = running.communicate(timeout=HANG_S)
    assert running.returncode == 130
    assert "stopped; the same command " in one_sentence(message)


@pytest.mark.slow
def test_a_run_on_test_images_is_marked_as_leaked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mnist.MNIST, "mirrors", ["http://127.0.0.1:9/"])  # no MNIST from a network
    train, test = sample.load()
    (tmp_path / "data").mkdir()
    seen = np.concatenate([train.images, test.images[:100]])
    labels = np.concatenate([train.known_labels(), test.known_labels()[:100]])
    (tmp_path / "data/train.csv").write_bytes(rows.render(seen, labels))
    (tmp_path / "data/test.csv").write_bytes(rows.render(test.images))
    command = [*TINY, "--source", "kaggle", "--overlap", "allow", "--out", "run"]
    text = succeeded(in_process(*command, cwd=tmp_path, XDG_CACHE_HOME=str(tmp_path / "cache")))
    assert "100 of them test images with their labels: every score of this run is LEAKED" in text
    assert "\nLEAKED: " in text
    metrics = json.loads((tmp_path / "run/metrics.json").read_text())
    assert metrics["honest"] is False and metrics["overlap"]["in_test"] == 100 and metrics["overlap"]["kept"] == 4100
    for model in (Classifier(tmp_path / "run/classifier.onnx"), Generator(tmp_path / "run/generator.onnx")):
        assert model.card["honest"].startswith("NO: LEAKED")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="has no limit on the size of files")
def test_a_run_continues_once_the_disk_has_room(finished_run: Path, tmp_path: Path) -> None:
    """The limit on a file's size stands for the full disk: both refuse in the middle of a write."""
    limited = "import resource, runpy; resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY)); "
    program = limited + "runpy.run_module('tenfold', run_name='__main__')"
    full = subprocess.run(
        [sys.executable, "-c", program, *SMOKE, "--out", "run"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=HANG_S,
    )
    assert full.returncode == 1
    sentence = one_sentence(full.stderr)
    assert sentence.startswith("tenfold: fold-") and "File too large" in sentence
    assert "the same command " in sentence
    assert not [path for path in (tmp_path / "run").rglob("*") if "safetensors" in path.name]
    succeeded(in_process(*SMOKE, "--out", "run", cwd=tmp_path))
    assert differing(tmp_path / "run", finished_run) == []


@pytest.mark.slow
def test_another_layout_answers_alike_within_rounding(finished_run: Path, tmp_path: Path) -> None:
    succeeded(in_process(*SMOKE, "--out", "run", "--workers", "1", "--threads", "3", cwd=tmp_path))
    with np.load(tmp_path / "run/oof.npz") as a, np.load(finished_run / "oof.npz") as b:
        assert np.abs(a["probabilities"] - b["probabilities"]).mean() < 0.02


@pytest.mark.slow
@pytest.mark.real
def test_the_models_agree_with_torch_on_every_test_digit(finished_run: Path, real_data: Path) -> None:
    images = files.read(real_data / competition.ARCHIVE).test_images
    temperature = json.loads((finished_run / "metrics.json").read_text())["temperature"]
    run = RunFolder(finished_run)
    trained = TrainedNets.load(run, run.settings())
    assert trained.doubt is not None
    with torch.inference_mode():
        batches = torch.from_numpy(images).unsqueeze(1).float().div(255).split(1000)
        doubts = torch.cat([trained.doubt(trained.light.activations(batch)[1]) for batch in batches]).clamp(max=0.999)
    for name, nets, doubt in (
        ("classifier.onnx", trained.ensemble, 0.0),
        ("classifier_light.onnx", [trained.light], doubts.numpy()),
    ):
        answer = Classifier(finished_run / name).predict(images)
        mean = np.mean([probabilities(net, images, torch.device("cpu")) for net in nets], axis=0)
        expected = tempered(mean, temperature)
        expected = expected + doubt * (0.1 - expected)
        assert len(images) == 28_000 and np.abs(answer.probabilities - expected).max() <= 1e-5
        second, first = np.sort(expected, axis=1)[:, -2:].T
        clear = first - second > 2e-5  # a tie may fall either way
        assert (answer.label == expected.argmax(1))[clear].all() and (~clear).sum() < 20


@pytest.mark.slow
def test_labels_of_test_images_reach_nothing_but_the_score(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two runs on Kaggle's files with MNIST beside them, which has every test image. In between, MNIST's labels of
    the test images are permuted. The sample's digits stand for both."""
    train, test = sample.load()
    monkeypatch.setattr(competition, "TEST_IMAGES_SHA256", test.images_sha256())  # so that MNIST may add rows
    permuted = np.random.default_rng(0).permutation(test.known_labels())
    runs = []
    for name, labels in (("as it is", test.known_labels()), ("permuted", permuted)):
        data = tmp_path / name / "data"
        (data / "MNIST/raw").mkdir(parents=True)
        (data / "train.csv").write_bytes(rows.render(train.images[:900], train.known_labels()[:900]))
        (data / "test.csv").write_bytes(rows.render(test.images))
        write_mnist(data / "MNIST/raw", "train", train.images, train.known_labels())
        write_mnist(data / "MNIST/raw", "t10k", test.images, labels)
        checksums = {path.name: sha256(path.read_bytes()).hexdigest() for path in (data / "MNIST/raw").iterdir()}
        monkeypatch.setattr(mnist, "UNPACKED_SHA256", checksums)
        command = ("run", "--preset", "smoke", "--source", "kaggle", "--out", "run")
        succeeded(in_process(*command, cwd=tmp_path / name, XDG_CACHE_HOME=str(tmp_path / "cache")))
        runs.append(tmp_path / name / "run")
    first, second = runs
    for name in SAME_BYTES:  # a model's card has the offline test score, which is all that may differ
        strip = (lambda model: with_card(model, {})) if name.endswith(".onnx") else bytes
        assert strip((first / name).read_bytes()) == strip((second / name).read_bytes()), name
    before, after = (json.loads((run / "metrics.json").read_text()) for run in runs)
    assert before["overlap"] == after["overlap"] and before["overlap"]["kept"] == len(train)
    assert before["judge"]["accuracy"] > after["judge"]["accuracy"] + 0.2


def write_mnist(folder: Path, split: str, images: npt.NDArray[np.uint8], labels: npt.NDArray[np.int64]) -> None:
    """One split in MNIST's format: a magic number and the sizes, big-endian, then the bytes."""
    header = struct.pack(">4i", 2051, *images.shape)
    (folder / f"{split}-images-idx3-ubyte").write_bytes(header + images.tobytes())
    header = struct.pack(">2i", 2049, len(labels))
    (folder / f"{split}-labels-idx1-ubyte").write_bytes(header + labels.astype(np.uint8).tobytes())
