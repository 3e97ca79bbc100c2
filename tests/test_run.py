"""A run holds together: what it predicts is what it submits, and nothing that stops it changes the result."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
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
    tenfold,
    wait_until,
)

from digit_recognizer import competition, files, rows, submission
from tenfold.evaluation.cross_validation import tempered
from tenfold.models import export
from tenfold.models.inference import probabilities
from tenfold.models.weights import CLASSIFIER, load_classifier
from tenfold.settings import Net
from tenfold.sources import mnist, sample
from tenfold.storage import cache
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
    assert metrics["honest"] is True and metrics["judge"]["rows"] == 360
    assert metrics["cross_validation"]["mean"] == pytest.approx(np.mean(metrics["cross_validation"]["folds"]))
    # Two folds and the models for other programs: one cGAN epoch and two classifier epochs each.
    assert len((finished_run / "metrics.jsonl").read_text().splitlines()) == 3 * (1 + 2)


def test_out_of_fold_answers_come_from_nets_without_that_row(finished_run: Path) -> None:
    metrics = json.loads((finished_run / "metrics.json").read_text())
    with np.load(finished_run / "oof.npz") as oof:
        assert oof["probabilities"].shape == (1437, 10) and set(oof["fold"].tolist()) == {0, 1}
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
    nets = export.members(RunFolder(finished_run))
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
    assert "fit.lr is 0.008, 0.001" in sentence


def test_a_killed_run_ends_with_the_same_bytes(finished_run: Path, tmp_path: Path) -> None:
    """Killed while its first nets train: some have a checkpoint, none is done."""
    run = RunFolder(tmp_path / "run")
    with subprocess.Popen(
        [sys.executable, "-m", "tenfold.cli", *SMOKE, "--out", "run"],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as running:
        wait_until(run.epochs)
        running.kill()
    assert running.returncode == -signal.SIGKILL
    assert 0 < len(run.epochs()) < 9
    succeeded(in_process(*SMOKE, "--out", "run", cwd=tmp_path))
    assert differing(run.path, finished_run) == []
    epochs = [(line["task"], line["stage"], line["epoch"]) for line in run.epochs()]
    assert len(epochs) == len(set(epochs)) == 9


@pytest.mark.slow
def test_a_lost_or_damaged_result_is_fitted_anew(finished_run: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(finished_run, tmp_path / "run")
    weights = copy / "fold-1-net-0" / "classifier.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    text = succeeded(in_process(*SMOKE, "--out", copy, cwd=tmp_path))
    assert "fold-1-net-0 starts anew: " in text
    assert f"{copy} is continued; epochs of training so far: 7, " in text  # of nine
    assert "fold-1-net-0: 2 epochs" in text and text.count(" epochs in ") == 1
    assert differing(copy, finished_run) == []


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_says_that_the_run_continues(how: signal.Signals, tmp_path: Path) -> None:
    running = subprocess.Popen(
        [sys.executable, "-m", "tenfold.cli", *SMOKE, "--out", "run"],
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
    assert "stopped; the same command continues" in one_sentence(message)


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
    assert metrics["honest"] is False and metrics["overlap"]["in_test"] == 100 and metrics["overlap"]["kept"] == 1537
    for model in (Classifier(tmp_path / "run/classifier.onnx"), Generator(tmp_path / "run/generator.onnx")):
        assert model.card["honest"].startswith("NO: LEAKED")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="has no limit on the size of files")
def test_a_run_continues_once_the_disk_has_room(finished_run: Path, tmp_path: Path) -> None:
    """The limit on a file's size stands for the full disk: both refuse in the middle of a write."""
    limited = "import resource, runpy; resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY)); "
    program = limited + "runpy.run_module('tenfold.cli', run_name='__main__')"
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
    assert "the same command continues" in sentence
    assert not [path for path in (tmp_path / "run").rglob("*") if "safetensors" in path.name]
    succeeded(in_process(*SMOKE, "--out", "run", cwd=tmp_path))
    assert differing(tmp_path / "run", finished_run) == []


@pytest.mark.slow
def test_another_layout_answers_alike_within_rounding(finished_run: Path, tmp_path: Path) -> None:
    succeeded(tenfold(*SMOKE, "--out", "run", "--workers", "1", "--threads", "3", cwd=tmp_path))
    with np.load(tmp_path / "run/oof.npz") as a, np.load(finished_run / "oof.npz") as b:
        assert np.abs(a["probabilities"] - b["probabilities"]).mean() < 0.02


@pytest.mark.slow
@pytest.mark.real
def test_the_models_agree_with_torch_on_every_test_digit(finished_run: Path, real_data: Path) -> None:
    images = files.read(real_data / competition.ARCHIVE).test_images
    temperature = json.loads((finished_run / "metrics.json").read_text())["temperature"]
    run = RunFolder(finished_run)
    light = load_classifier(run.light / CLASSIFIER, Net(run.settings().light.channels, tta_shift_px=0))
    for name, nets in (("classifier.onnx", export.members(run)), ("classifier_light.onnx", [light])):
        answer = Classifier(finished_run / name).predict(images)
        mean = np.mean([probabilities(net, images, torch.device("cpu")) for net in nets], axis=0)
        expected = tempered(mean, temperature)
        assert len(images) == 28_000 and np.abs(answer.probabilities - expected).max() <= 1e-5
        second, first = np.sort(expected, axis=1)[:, -2:].T
        clear = first - second > 2e-5  # a tie may fall either way
        assert (answer.label == expected.argmax(1))[clear].all() and (~clear).sum() < 20


@pytest.mark.slow
@pytest.mark.real
def test_labels_of_test_images_reach_nothing_but_the_score(real_data: Path, tmp_path: Path) -> None:
    """Two whole runs on Kaggle's files, cut so that MNIST adds rows; between them, MNIST's labels of every image
    in test.csv are permuted. Only the judge may notice."""
    homes = [tmp_path / name for name in ("as it is", "permuted")]
    _cut_kaggle_with_mnist(real_data, homes)
    arguments = ["--preset", "smoke", "--source", "kaggle", "--out", "run", "--fit.epochs", "1", "--cgan.width", "4"]
    for home in homes:
        done = tenfold("run", *arguments, "--data", "data", cwd=home, XDG_CACHE_HOME=str(home / "cache"))
        assert "the extra source added 34,000 rows" in succeeded(done)
    first, second = (home / "run" for home in homes)
    for name in SAME_BYTES:  # a model's card tells the judge's score, which is all that may differ
        strip = (lambda data: with_card(data, {})) if name.endswith(".onnx") else bytes
        assert strip((first / name).read_bytes()) == strip((second / name).read_bytes()), name
    scores = [json.loads((run / "metrics.json").read_text())["judge"]["accuracy"] for run in (first, second)]
    assert scores[0] > scores[1] + 0.2


def _cut_kaggle_with_mnist(real_data: Path, homes: list[Path]) -> None:
    """Data folders with 8,000 rows of train.csv, all of test.csv, and MNIST unpacked: as it is, and permuted."""
    kaggle = files.read(real_data / competition.ARCHIVE)
    for home in homes:
        data = home / "data"
        (data / "MNIST").mkdir(parents=True)
        (data / "train.csv").write_bytes(rows.render(kaggle.train_images[:8000], kaggle.train_labels[:8000]))
        (data / "test.csv").write_bytes(rows.render(kaggle.test_images))
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("XDG_CACHE_HOME", str(home / "unpacked"))
            splits = mnist.load(real_data, download=False)
            shutil.move(cache.folder() / "MNIST" / "raw", data / "MNIST" / "raw")
    rng = np.random.default_rng(0)
    test = {image.tobytes() for image in kaggle.test_images}
    for split, name in zip(splits, ("train", "t10k"), strict=True):
        path = homes[1] / "data/MNIST/raw" / f"{name}-labels-idx1-ubyte"
        header, labels = path.read_bytes()[:8], np.frombuffer(path.read_bytes()[8:], np.uint8).copy()
        tested = np.array([image.tobytes() in test for image in split.images])
        labels[tested] = rng.permutation(labels[tested])
        path.write_bytes(header + labels.tobytes())
