"""A run holds together: what it predicts is what it submits, and nothing that stops it changes what comes out."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import SMOKE, tenfold

from digit_recognizer import competition, rows, submission
from tenfold.evaluation.cross_validation import tempered
from tenfold.models import export
from tenfold.models.inference import probabilities
from tenfold.models.weights import CLASSIFIER, load_classifier
from tenfold.settings import Net
from tenfold.sources import sample
from tenfold.storage import cache
from tenfold.storage.run_folder import RunFolder
from tenfold_onnx import Classifier, Generator
from tenfold_onnx.write.export import with_card

SAME_BYTES = [
    "submission.csv",
    "oof.npz",
    "test_probabilities.npz",
    "classifier.onnx",
    "classifier_light.onnx",
    "classifier_canvas.onnx",
    "classifier_explain.onnx",
    "generator.onnx",
    "fold-0-net-0/classifier.safetensors",
    "fold-1-generator/generator.safetensors",
    "light/classifier.safetensors",
    "generator/generator.safetensors",
]


def differing(a: Path, b: Path) -> list[str]:
    return [name for name in SAME_BYTES if (a / name).read_bytes() != (b / name).read_bytes()]


def test_it_leaves_everything_that_was_promised(finished_run: Path) -> None:
    found = {str(path.relative_to(finished_run)) for path in finished_run.rglob("*") if path.is_file()}
    assert found >= {
        *SAME_BYTES,
        *("settings.toml", "environment.json", "data.json", "metrics.json", "metrics.jsonl"),
        "fold-0-generator/grids/epoch-001.png",
    }
    assert not any(name.endswith((".pt", ".pth", ".pkl", ".tmp")) or "checkpoint" in name for name in found)
    metrics = json.loads((finished_run / "metrics.json").read_text())
    assert metrics["honest"] is True and metrics["judge"]["rows"] == 360
    assert metrics["cross_validation"]["mean"] == pytest.approx(np.mean(metrics["cross_validation"]["folds"]))
    lines = [json.loads(line) for line in (finished_run / "metrics.jsonl").read_text().splitlines()]
    assert len(lines) == 3 * (1 + 2)  # two folds and what ships, of one cGAN and two classifier epochs each


def test_the_out_of_fold_answers_are_those_of_nets_that_did_not_see_the_row(finished_run: Path) -> None:
    with np.load(finished_run / "oof.npz") as oof:
        assert oof["probabilities"].shape == (1437, 10) and set(oof["fold"].tolist()) == {0, 1}
        for fold in (0, 1):
            with np.load(finished_run / f"fold-{fold}-net-0" / "answers.npz") as answers:
                metrics = json.loads((finished_run / "metrics.json").read_text())
                expected = tempered(answers["validation"], metrics["temperature"])
                assert (oof["probabilities"][oof["fold"] == fold] == expected).all()
        errors = int((oof["probabilities"].argmax(1) != oof["labels"]).sum())
        assert errors == metrics["cross_validation"]["errors"]


def test_predicting_the_test_csv_gives_the_submission(finished_run: Path, tmp_path: Path) -> None:
    (tmp_path / "test.csv").write_bytes(rows.render(sample.load()[1].images))
    done = tenfold("predict", "test.csv", "--model", finished_run / "classifier.onnx", "--out", "a.csv", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "a.csv").read_bytes() == (finished_run / "submission.csv").read_bytes()


def test_the_exported_ensemble_is_the_mean_of_the_folds(finished_run: Path) -> None:
    images = sample.load()[1].images
    nets = export.members(RunFolder(finished_run))
    mean = np.mean([probabilities(net, images, torch.device("cpu")) for net in nets], axis=0)
    expected = tempered(mean, json.loads((finished_run / "metrics.json").read_text())["temperature"])
    assert len(nets) == 2
    said = Classifier(finished_run / "classifier.onnx").predict(images)
    assert said.probabilities == pytest.approx(expected, abs=1e-5)
    assert (submission.read(finished_run / "submission.csv") == said.label).all()


def test_scoring_the_submission_agrees_with_the_run(finished_run: Path, tmp_path: Path) -> None:
    judge = json.loads((finished_run / "metrics.json").read_text())["judge"]
    done = tenfold("score", finished_run / "submission.csv", "--source", "sample", cwd=tmp_path)
    assert f"({judge['errors']} errors)" in done.stdout


def test_exporting_again_gives_the_same_bytes(finished_run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "Abschrift №2"
    shutil.copytree(finished_run, copy)
    (copy / "classifier.onnx").unlink()
    assert tenfold("export", copy, cwd=tmp_path).returncode == 0
    assert differing(copy, finished_run) == []


def test_a_finished_run_is_not_run_again(finished_run: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(finished_run, tmp_path / "run")
    before = (copy / "metrics.jsonl").stat().st_mtime_ns
    done = tenfold(*SMOKE, "--out", copy, cwd=tmp_path)
    assert done.returncode == 0 and "is complete already" in done.stdout
    assert (copy / "metrics.jsonl").stat().st_mtime_ns == before


def test_other_settings_in_its_folder_are_refused(finished_run: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(finished_run, tmp_path / "run")
    done = tenfold(*SMOKE, "--out", copy, "--fit.lr", "0.001", cwd=tmp_path)
    assert done.returncode == 2
    assert "fit.lr is 0.008, 0.001 is asked for" in done.stderr and done.stderr.count("\n") == 1


def killed_after(seconds: float, home: Path, how: signal.Signals) -> int:
    """Start the smoke run, stop it so, and give its exit code."""
    running = subprocess.Popen(
        [sys.executable, "-m", "tenfold.cli", *SMOKE, "--out", "run"],
        cwd=home,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        running.wait(seconds)
    except subprocess.TimeoutExpired:
        running.send_signal(how)
    return running.wait()


def test_a_run_killed_at_any_moment_ends_with_the_same_bytes(finished_run: Path, tmp_path: Path) -> None:
    moments = random.Random(os.environ.get("TENFOLD_KILL_SEED", "1"))
    kills = 0
    while kills < 3:
        kills += killed_after(moments.uniform(3, 12), tmp_path, signal.SIGKILL) == -signal.SIGKILL
        if (tmp_path / "run" / "done.json").exists():
            break
    done = tenfold(*SMOKE, "--out", "run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert kills >= 1
    assert differing(tmp_path / "run", finished_run) == []
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert (
        len(lines) == len({tuple(json.loads(line)[key] for key in ("task", "stage", "epoch")) for line in lines}) == 9
    )


@pytest.mark.slow
def test_a_lost_or_damaged_result_is_fitted_anew(finished_run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(finished_run, copy)
    weights = copy / "fold-1-net-0" / "classifier.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    done = tenfold(*SMOKE, "--out", copy, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "fold-1-net-0 starts anew: its result was changed or removed since" in done.stdout
    assert f"{copy} is continued; epochs of training so far: 7, " in done.stdout  # of nine
    assert "fold-1-net-0: 2 epochs" in done.stdout and done.stdout.count(" epochs in ") == 1
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
    deadline = time.monotonic() + 100
    while not (tmp_path / "run" / "data.json").exists():
        assert time.monotonic() < deadline
        time.sleep(0.1)
    running.send_signal(how)
    _, said = running.communicate(timeout=60)
    assert running.returncode == 130
    assert said == "tenfold: stopped; the same command continues where this one was\n"


@pytest.mark.slow
def test_a_run_that_may_see_the_test_set_is_marked_as_leaked_wherever_it_is_told(tmp_path: Path) -> None:
    train, test = sample.load()
    (tmp_path / "data").mkdir()
    seen = np.concatenate([train.images, test.images[:100]])
    labels = np.concatenate([train.known_labels(), test.known_labels()[:100]])
    (tmp_path / "data/train.csv").write_bytes(rows.render(seen, labels))
    (tmp_path / "data/test.csv").write_bytes(rows.render(test.images))
    done = tenfold(
        *("run", "--preset", "smoke", "--source", "kaggle", "--overlap", "allow", "--out", "run"),
        *("--fit.epochs", "1", "--fit.epoch-images", "256", "--cgan.epoch-images", "256", "--cgan.width", "4"),
        cwd=tmp_path,
        https_proxy="http://127.0.0.1:9",  # no MNIST from a network
        XDG_CACHE_HOME=str(tmp_path / "cache"),
    )
    assert done.returncode == 0, done.stderr
    assert "100 of them test images with their labels: every score of this run is LEAKED" in done.stdout
    assert "LEAKED: this run was allowed to train on test images; none of its scores counts" in done.stdout
    metrics = json.loads((tmp_path / "run/metrics.json").read_text())
    assert metrics["honest"] is False and metrics["overlap"]["in_test"] == 100 and metrics["overlap"]["kept"] == 1537
    for model in (Classifier(tmp_path / "run/classifier.onnx"), Generator(tmp_path / "run/generator.onnx")):
        assert model.card["honest"].startswith("NO: LEAKED")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="has no limit on the size of files")
def test_a_disk_that_fills_up_is_said_in_a_sentence_and_the_run_continues(finished_run: Path, tmp_path: Path) -> None:
    """The limit on a file's size stands for the full disk: both refuse in the middle of a write."""
    limited = "import resource, runpy; resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY)); "
    program = limited + "runpy.run_module('tenfold.cli', run_name='__main__')"
    full = subprocess.run(
        [sys.executable, "-c", program, *SMOKE, "--out", "run"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert full.returncode == 1
    assert full.stderr.startswith("tenfold: fold-") and full.stderr.count("\n") == 1, full.stderr
    assert "File too large" in full.stderr and "the same command continues" in full.stderr
    assert not [path for path in (tmp_path / "run").rglob("*") if "safetensors" in path.name]
    done = tenfold(*SMOKE, "--out", "run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert differing(tmp_path / "run", finished_run) == []


@pytest.mark.slow
def test_another_layout_gives_the_same_answers_within_rounding(finished_run: Path, tmp_path: Path) -> None:
    assert tenfold(*SMOKE, "--out", "run", "--workers", "1", "--threads", "3", cwd=tmp_path).returncode == 0
    with np.load(tmp_path / "run/oof.npz") as a, np.load(finished_run / "oof.npz") as b:
        assert np.abs(a["probabilities"] - b["probabilities"]).mean() < 0.02


@pytest.mark.slow
@pytest.mark.real
def test_the_models_say_what_torch_says_of_every_test_digit(finished_run: Path, real_data: Path) -> None:
    from digit_recognizer import files

    images = files.read(real_data / competition.ARCHIVE).test_images
    temperature = json.loads((finished_run / "metrics.json").read_text())["temperature"]
    run = RunFolder(finished_run)
    light = load_classifier(run.light / CLASSIFIER, Net(run.settings().light.channels, tta_shift_px=0))
    for name, nets in (("classifier.onnx", export.members(run)), ("classifier_light.onnx", [light])):
        said = Classifier(finished_run / name).predict(images)
        mean = np.mean([probabilities(net, images, torch.device("cpu")) for net in nets], axis=0)
        expected = tempered(mean, temperature)
        assert len(images) == 28_000 and np.abs(said.probabilities - expected).max() <= 1e-5
        second, first = np.sort(expected, axis=1)[:, -2:].T
        clear = first - second > 2e-5  # a tie may fall either way
        assert (said.label == expected.argmax(1))[clear].all() and (~clear).sum() < 20


@pytest.mark.slow
@pytest.mark.real
def test_labels_of_test_images_reach_nothing_that_is_trained_or_submitted(real_data: Path, tmp_path: Path) -> None:
    """Two whole runs on Kaggle's files, cut so that MNIST adds rows; between them, MNIST's labels of every image
    in test.csv are permuted. Only the judge may notice."""
    homes = [tmp_path / name for name in ("as it is", "permuted")]
    _cut_kaggle_with_mnist(real_data, homes)
    arguments = ["--preset", "smoke", "--source", "kaggle", "--out", "run", "--fit.epochs", "1", "--cgan.width", "4"]
    for home in homes:
        done = tenfold("run", *arguments, "--data", "data", cwd=home, XDG_CACHE_HOME=str(home / "cache"))
        assert done.returncode == 0, done.stderr
        assert "the further source added 34,000" in done.stdout
    first, second = (home / "run" for home in homes)
    for name in SAME_BYTES:  # a model's card tells the judge's score, which is all that may differ
        strip = (lambda data: with_card(data, {})) if name.endswith(".onnx") else bytes
        assert strip((first / name).read_bytes()) == strip((second / name).read_bytes()), name
    scores = [json.loads((run / "metrics.json").read_text())["judge"]["accuracy"] for run in (first, second)]
    assert scores[0] > scores[1] + 0.2


def _cut_kaggle_with_mnist(real_data: Path, homes: list[Path]) -> None:
    """Data folders with 8,000 rows of train.csv, all of test.csv, and MNIST unpacked: as it is, and permuted."""
    from digit_recognizer import files
    from tenfold.sources import mnist

    found = files.read(real_data / competition.ARCHIVE)
    for home in homes:
        data = home / "data"
        (data / "MNIST").mkdir(parents=True)
        (data / "train.csv").write_bytes(rows.render(found.train_images[:8000], found.train_labels[:8000]))
        (data / "test.csv").write_bytes(rows.render(found.test_images))
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("XDG_CACHE_HOME", str(home / "unpacked"))
            splits = mnist.load(real_data, download=False)
            shutil.move(cache.folder() / "MNIST" / "raw", data / "MNIST" / "raw")
    rng = np.random.default_rng(0)
    test = {image.tobytes() for image in found.test_images}
    for split, name in zip(splits, ("train", "t10k"), strict=True):
        path = homes[1] / "data/MNIST/raw" / f"{name}-labels-idx1-ubyte"
        header, labels = path.read_bytes()[:8], np.frombuffer(path.read_bytes()[8:], np.uint8).copy()
        tested = np.array([image.tobytes() in test for image in split.images])
        labels[tested] = rng.permutation(labels[tested])
        path.write_bytes(header + labels.tobytes())
