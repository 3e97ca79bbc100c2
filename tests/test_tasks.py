"""What a fold's nets learn from, what can't reach them, and what happens when a loss is lost."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import few_digits

from tenfold.data.digits import Digits
from tenfold.errors import Diverged
from tenfold.models.classifier import Classifier
from tenfold.models.weights import CLASSIFIER, GENERATOR, load_classifier, save_weights
from tenfold.seeds import SeedStream
from tenfold.settings import Cgan, Compute, Fit, Net, Settings
from tenfold.storage.run_folder import RunFolder
from tenfold.training.muon import Muon
from tenfold.training.schedule import RateCut, cut_rate
from tenfold.training.tasks import (
    ClassifierTask,
    GeneratorTask,
    fit_classifier_task,
    fit_generator_task,
    order_rate_cut,
    rate_cuts,
)

SETTINGS = Settings(
    net=Net((4, 8)),
    fit=Fit(epochs=1, epoch_images=64, batch_size=32),
    cgan=Cgan(share=0.25, least_variety=0, epochs=1, epoch_images=64, batch_size=32, z_dim=8, width=4),
    compute=Compute("cpu", "fp32", 1, 1),
)


def weights(generator: GeneratorTask, classifier: ClassifierTask, path: Path) -> list[bytes]:
    """What a fold's two nets have learnt, as the bytes of their files."""
    path.mkdir()
    drawn, read = replace(generator, run=RunFolder(path)), replace(classifier, run=RunFolder(path))
    fit_generator_task(drawn, lambda record: None)
    fit_classifier_task(read, lambda record: None)
    return [(drawn.folder / GENERATOR).read_bytes(), (read.folder / CLASSIFIER).read_bytes()]


@pytest.fixture
def generator(tmp_path: Path) -> GeneratorTask:
    return GeneratorTask(SETTINGS, SeedStream(0, 0), few_digits(160, seed=1), "generator", RunFolder(tmp_path))


@pytest.fixture
def classifier(generator: GeneratorTask, tmp_path: Path) -> ClassifierTask:
    validation = few_digits(40, seed=2)
    drawer, run = generator.name, RunFolder(tmp_path)
    return ClassifierTask(SETTINGS, SeedStream(0, 0), generator.train, validation, drawer, None, "net", run)


def test_validation_digits_do_not_reach_the_classifier_and_a_generator_is_given_none(
    generator: GeneratorTask, classifier: ClassifierTask, tmp_path: Path
) -> None:
    others = Digits.of("others", few_digits(40, seed=8).images, np.zeros(40, np.int64))
    unlike = replace(classifier, validation=others)
    assert weights(generator, unlike, tmp_path / "b") == weights(generator, classifier, tmp_path / "a")


def test_one_training_digit_reaches_both(generator: GeneratorTask, classifier: ClassifierTask, tmp_path: Path) -> None:
    changed = generator.train.images.copy()
    changed[7] = 255 - changed[7]
    train = Digits.of("few", changed, generator.train.known_labels())
    before = weights(generator, classifier, tmp_path / "a")
    after = weights(replace(generator, train=train), replace(classifier, train=train), tmp_path / "b")
    assert all(a != b for a, b in zip(before, after, strict=True))


def test_nets_of_a_fold_draw_apart(generator: GeneratorTask, classifier: ClassifierTask, tmp_path: Path) -> None:
    second = replace(classifier, stream=SeedStream(0, 0, net=1))
    first, other = weights(generator, classifier, tmp_path / "a"), weights(generator, second, tmp_path / "b")
    assert first[0] == other[0] and first[1] != other[1]


def test_a_net_can_begin_with_the_weights_of_another(classifier: ClassifierTask, tmp_path: Path) -> None:
    still = replace(SETTINGS, fit=replace(SETTINGS.fit, lr=1e-12, kernel_lr=1e-12, ema_decay=0))
    net = Classifier(SETTINGS.net)
    save_weights(tmp_path / "begin", net)
    task = replace(classifier, settings=still, generator=None, init=tmp_path / "begin")
    fit_classifier_task(task, lambda record: None)
    learnt = load_classifier(task.folder / CLASSIFIER, replace(SETTINGS.net, tta_shift_px=0))
    for name, value in net.named_parameters():
        assert torch.allclose(learnt.get_parameter(name), value, atol=1e-6), name


def test_a_loss_that_became_no_number_stops_again_until_its_rates_are_cut(
    classifier: ClassifierTask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fit = replace(SETTINGS.fit, epochs=3)
    task = replace(classifier, settings=replace(SETTINGS, fit=fit), generator=None)
    whole = torch.nn.functional.cross_entropy
    watched: list[Muon] = []

    class Watched(Muon):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            watched.append(self)

    def lost_in_epoch_2_above_a_rate(*arguments: Any, **options: Any) -> torch.Tensor:
        after_epoch_1 = (task.folder / "classifier.checkpoint.safetensors").exists()
        lost = after_epoch_1 and watched[-1].param_groups[0]["lr"] > 0.02
        return whole(*arguments, **options) * (float("nan") if lost else 1)

    monkeypatch.setattr("tenfold.fit.Muon", Watched)
    monkeypatch.setattr("torch.nn.functional.cross_entropy", lost_in_epoch_2_above_a_rate)
    for _ in range(2):
        with pytest.raises(Diverged, match=r"in epoch 2, step 1 .* the checkpoint after epoch 1 is untouched"):
            fit_classifier_task(task, lambda record: None)
    assert order_rate_cut(task.folder, 0.5) and not order_rate_cut(task.folder, 0.5)
    assert rate_cuts(task.folder) == (RateCut(1, 0.5),)
    lines: list[dict[str, Any]] = []
    fit_classifier_task(task, lines.append)
    assert [line["epoch"] for line in lines] == [2, 3]


def test_rate_cuts_hold_from_their_epoch_on_and_multiply() -> None:
    cuts = (RateCut(1, 0.5), RateCut(3, 0.1))
    assert [cut_rate(cuts, epoch) for epoch in range(4)] == pytest.approx([1, 0.5, 0.5, 0.05])
