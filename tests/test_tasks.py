"""What a fold's trainings learn from, what can't reach them, and how a diverged one continues."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import few_digits
from torch import Tensor

from tenfold.data.digits import Digits
from tenfold.errors import BadInput, Diverged, RunFailed
from tenfold.models.classifier import Classifier
from tenfold.models.weights import load_classifier, save_weights
from tenfold.seeds import SeedStream
from tenfold.settings import Cgan, Compute, Fit, Net, Warp
from tenfold.storage.completion import finished
from tenfold.storage.epoch_log import Epoch, PartOfEpoch
from tenfold.storage.npz import read_npz
from tenfold.storage.run_folder import CLASSIFIER, DIVERGED, GENERATOR, GRIDS, RATE_CUTS, VALIDATION, RunFolder
from tenfold.training.muon import Muon
from tenfold.training.schedule import RateCut
from tenfold.training.task_folder import add_rate_cut, has_collapsed, is_trained, rate_cuts
from tenfold.training.tasks import ClassifierTask, GeneratorTask, fit_classifier_task, fit_generator_task

NET = Net((4, 8))
FIT = Fit(epochs=1, epoch_images=64, batch_size=32)
CGAN = Cgan(share=0.25, least_variety=0, epochs=1, epoch_images=64, batch_size=32, z_dim=8, width=4)
COMPUTE = Compute("cpu", "fp32", workers=1, threads=1)
TRAIN, VALIDATION_DIGITS = few_digits(160, seed=1), few_digits(40, seed=2)


def ignore(epoch: Epoch) -> None:
    pass


@pytest.fixture
def generator(tmp_path: Path) -> GeneratorTask:
    return GeneratorTask(
        name="generator", run=RunFolder(tmp_path), seeds=SeedStream(0, 0), compute=COMPUTE, cgan=CGAN, train=TRAIN
    )


@pytest.fixture
def classifier(generator: GeneratorTask) -> ClassifierTask:
    return ClassifierTask(
        name="net",
        run=generator.run,
        seeds=generator.seeds,
        compute=COMPUTE,
        cgan=CGAN,
        train=TRAIN,
        net=NET,
        fit=FIT,
        warp=Warp(),
        validation=VALIDATION_DIGITS,
        generator=generator.name,
        non_digits=0.0,
        init=None,
    )


def fit_both(generator: GeneratorTask, classifier: ClassifierTask, path: Path) -> tuple[bytes, bytes]:
    """The weights of a fold's two networks, fitted in the run folder `path`."""
    path.mkdir()
    generator, classifier = (replace(task, run=RunFolder(path)) for task in (generator, classifier))
    fit_generator_task(generator, ignore)
    fit_classifier_task(classifier, ignore)
    return (generator.folder / GENERATOR).read_bytes(), (classifier.folder / CLASSIFIER).read_bytes()


def test_validation_digits_do_not_reach_the_weights(
    generator: GeneratorTask, classifier: ClassifierTask, tmp_path: Path
) -> None:
    others = Digits.of("others", few_digits(40, seed=8).images, np.zeros(40, np.int64))
    with_others = replace(classifier, validation=others)
    assert fit_both(generator, with_others, tmp_path / "b") == fit_both(generator, classifier, tmp_path / "a")


def test_one_training_digit_reaches_both_networks(
    generator: GeneratorTask, classifier: ClassifierTask, tmp_path: Path
) -> None:
    images = TRAIN.images.copy()
    images[7] = 255 - images[7]
    changed = replace(TRAIN, images=images)
    before = fit_both(generator, classifier, tmp_path / "a")
    after = fit_both(replace(generator, train=changed), replace(classifier, train=changed), tmp_path / "b")
    assert before[0] != after[0] and before[1] != after[1]


def test_the_nets_of_a_fold_have_different_seeds(
    generator: GeneratorTask, classifier: ClassifierTask, tmp_path: Path
) -> None:
    second = replace(classifier, seeds=SeedStream(0, 0, net=1))
    before, after = fit_both(generator, classifier, tmp_path / "a"), fit_both(generator, second, tmp_path / "b")
    assert before[0] == after[0] and before[1] != after[1]


def test_a_net_starts_from_given_weights(classifier: ClassifierTask, tmp_path: Path) -> None:
    net = Classifier(NET)
    save_weights(tmp_path / "init", net)
    tiny_steps = replace(FIT, lr=1e-12, kernel_lr=1e-12, ema_decay=0)
    fit_classifier_task(replace(classifier, fit=tiny_steps, generator=None, init=tmp_path / "init"), ignore)
    trained = load_classifier(classifier.folder / CLASSIFIER, replace(NET, tta_shift_px=0))
    assert all(torch.allclose(trained.get_parameter(name), value, atol=1e-6) for name, value in net.named_parameters())


def test_a_finished_training_leaves_its_results(generator: GeneratorTask, classifier: ClassifierTask) -> None:
    reported: list[Epoch | PartOfEpoch] = []
    fit_generator_task(generator, reported.append)
    fit_classifier_task(classifier, reported.append)
    epochs = [progress for progress in reported if isinstance(progress, Epoch)]
    assert is_trained(generator.folder) and is_trained(classifier.folder)
    assert (generator.folder / GRIDS / "epoch-001.png").read_bytes().startswith(b"\x89PNG")
    probs = read_npz(classifier.folder / VALIDATION, ("validation",), "")["validation"]
    assert probs.shape == (40, 10) and probs.dtype == np.float32
    assert epochs == generator.run.epoch_log.read() and [epoch.task for epoch in epochs] == ["generator", "net"]
    assert list(generator.run.path.rglob("*.checkpoint.*")) == []


@pytest.mark.parametrize("action", ["stop", "leave-out"])
def test_a_collapsed_generator_stops_or_is_marked(action: str, generator: GeneratorTask) -> None:
    strict = replace(generator, cgan=replace(CGAN, least_variety=1.0, collapsed=action))
    if action == "stop":
        with pytest.raises(RunFailed, match=r"has collapsed: .* --cgan.least-variety 1; .*--fresh"):
            fit_generator_task(strict, ignore)
        assert finished(generator.folder) is None
    else:
        fit_generator_task(strict, ignore)
        assert has_collapsed(generator.folder, strict.cgan) and not has_collapsed(generator.folder, CGAN)


def test_a_diverged_training_resumes_once_its_rates_are_cut(
    classifier: ClassifierTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = replace(classifier, fit=replace(FIT, epochs=3), generator=None)
    cross_entropy = torch.nn.functional.cross_entropy
    optimisers: list[Muon] = []

    class WatchedMuon(Muon):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            optimisers.append(self)

    def nan_above_a_rate_from_epoch_2_on(*arguments: Any, **options: Any) -> Tensor:
        after_epoch_1 = any(task.folder.glob("*.checkpoint.*"))
        diverges = after_epoch_1 and optimisers[-1].param_groups[0]["lr"] > 0.02
        return cross_entropy(*arguments, **options) * (float("nan") if diverges else 1)

    monkeypatch.setattr("tenfold.training.fit_classifier.Muon", WatchedMuon)
    monkeypatch.setattr("torch.nn.functional.cross_entropy", nan_above_a_rate_from_epoch_2_on)
    for _ in range(2):  # without a cut it diverges again
        with pytest.raises(Diverged, match=r"in epoch 2, step 1 .*--cut-rates"):
            fit_classifier_task(task, ignore)
    assert add_rate_cut(task.folder, 0.5) and not add_rate_cut(task.folder, 0.5)
    assert rate_cuts(task.folder) == (RateCut(1, 0.5),)
    reported: list[Epoch | PartOfEpoch] = []
    fit_classifier_task(task, reported.append)
    assert [progress.epoch for progress in reported if isinstance(progress, Epoch)] == [2, 3]


def test_a_training_reports_how_far_an_epoch_is(
    generator: GeneratorTask, classifier: ClassifierTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tenfold.training.task_folder.REPORT_EVERY_S", 0.0)
    reported: list[Epoch | PartOfEpoch] = []
    fit_generator_task(generator, reported.append)
    fit_classifier_task(classifier, reported.append)
    for name in ("generator", "net"):
        own = [progress for progress in reported if progress.task == name]
        parts = [progress for progress in own if isinstance(progress, PartOfEpoch)]
        places = [progress.epoch - 1 + (progress.share if isinstance(progress, PartOfEpoch) else 1) for progress in own]
        assert parts and places == sorted(places), "in the order of the steps, each epoch's end last"
        assert all(0 < part.share <= 1 and part.epochs == own[-1].epochs for part in parts)
    logged = generator.run.epoch_log.read()
    assert logged == [progress for progress in reported if isinstance(progress, Epoch)], "the log has epochs alone"


@pytest.mark.parametrize("content", [b"", b"[", b"[1]", b'[{"factor": 0.5}]', b"3"])
def test_a_damaged_record_of_rate_cuts_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / RATE_CUTS).write_bytes(content)
    with pytest.raises(BadInput, match=r"rate_cuts.json: can't be read \(.*--fresh"):
        rate_cuts(tmp_path)


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b'{"epochs_done": "two"}', b"3"])
def test_a_damaged_record_of_a_divergence_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / DIVERGED).write_bytes(content)
    with pytest.raises(BadInput, match=r"diverged.json: can't be read \(.*--fresh"):
        add_rate_cut(tmp_path, 0.5)
