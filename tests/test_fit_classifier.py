"""The classifier learns, the same seed gives the same bytes, and a resumed training ends like an unstopped one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import few_digits
from torch import Tensor, nn

from tenfold.data.batches import Batches
from tenfold.data.digits import Digits
from tenfold.errors import Diverged
from tenfold.models.classifier import Classifier, initial_classifier
from tenfold.models.inference import probabilities
from tenfold.seeds import SeedStream
from tenfold.settings import Compute, Fit, Net, Warp
from tenfold.sources import sample
from tenfold.storage import checkpoint
from tenfold.storage.checkpoint import Checkpoint
from tenfold.storage.epoch_log import ClassifierEpoch
from tenfold.training.device import prepare_process
from tenfold.training.fit_classifier import fit_classifier
from tenfold.training.schedule import RateCut

NET = Net((8, 12, 16))
FIT = Fit(epochs=3, epoch_images=320, batch_size=32, ema_decay=0.9)
COMPUTE = Compute("cpu", "fp32", workers=1, threads=1)
CPU = torch.device("cpu")
DIGITS = few_digits(64)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    prepare_process(COMPUTE)


@dataclass
class Trained:
    """A net, and what its training gave after each epoch."""

    net: Classifier
    epochs: list[ClassifierEpoch] = field(default_factory=list)
    checkpoints: list[Checkpoint] = field(default_factory=list)


def blank(labels: Tensor, rng: torch.Generator) -> Tensor:
    """A sampler whose digits are all black."""
    return torch.zeros(len(labels), 28, 28, dtype=torch.uint8)


def train(
    digits: Digits = DIGITS,
    fit: Fit = FIT,
    fold: int = 0,
    resume: Checkpoint | None = None,
    rate_cuts: Sequence[RateCut] = (),
    **options: Any,
) -> Trained:
    """A net trained on these digits; `options` go to its batches."""
    seeds = SeedStream(0, fold)
    batches = Batches(
        images=torch.from_numpy(digits.images),
        labels=torch.from_numpy(digits.known_labels()),
        warp=Warp(),
        batch_size=fit.batch_size,
        epoch_images=fit.epoch_images,
        **options,
    )
    result = Trained(initial_classifier(NET, seeds))

    def after_epoch(epoch: ClassifierEpoch, state: Checkpoint) -> None:
        result.epochs.append(epoch)
        result.checkpoints.append(
            replace(state, tensors={name: value.clone() for name, value in state.tensors.items()})
        )

    result.net = fit_classifier(
        result.net, batches, fit, COMPUTE, seeds, resume=resume, after_epoch=after_epoch, rate_cuts=rate_cuts
    )
    return result


@pytest.fixture(scope="module")
def unstopped() -> Trained:
    """A training that ran without a stop."""
    return train()


def same_weights(a: nn.Module, b: nn.Module) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


def test_the_loss_falls_and_real_digits_are_learnt() -> None:
    digits, test = sample.load()
    trained = train(digits, replace(FIT, epochs=3, epoch_images=1400))
    losses = [epoch.loss for epoch in trained.epochs]
    assert losses == sorted(losses, reverse=True)
    predicted = probabilities(trained.net, test.images, CPU).argmax(1)
    assert (predicted == test.known_labels()).mean() > 0.8


def test_the_same_seed_gives_the_same_bytes(unstopped: Trained) -> None:
    assert same_weights(unstopped.net, train().net) and not same_weights(unstopped.net, train(fold=1).net)


@pytest.mark.parametrize("epochs_done", [1, 2])
def test_a_resumed_training_ends_with_the_same_bytes(epochs_done: int, unstopped: Trained, tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "state", unstopped.checkpoints[epochs_done - 1])
    resumed = train(resume=checkpoint.load(tmp_path / "state"))
    assert same_weights(unstopped.net, resumed.net)
    assert resumed.epochs == unstopped.epochs[epochs_done:]


def test_a_loss_of_nan_stops_the_training(monkeypatch: pytest.MonkeyPatch) -> None:
    cross_entropy, steps = torch.nn.functional.cross_entropy, iter(range(1000))

    def nan_in_epoch_2(*arguments: Any, **options: Any) -> Tensor:
        return cross_entropy(*arguments, **options) * (float("nan") if next(steps) == 13 else 1)

    monkeypatch.setattr("torch.nn.functional.cross_entropy", nan_in_epoch_2)
    position = r"loss became nan in epoch 2, step 4 \(learning rates 0.026 and 0.0052\)"
    with pytest.raises(Diverged, match=rf"{position}; .*--cut-rates"):
        train()


def test_a_rate_cut_takes_effect_from_its_epoch_on(unstopped: Trained) -> None:
    cut = train(rate_cuts=[RateCut(1, 0.5)])
    assert unstopped.epochs[0] == cut.epochs[0] and unstopped.epochs[1] != cut.epochs[1]


def test_only_useful_predictions_are_counted() -> None:
    as_is = train(share=0.5, sample=blank).epochs
    assert {(epoch.generated, epoch.left_out) for epoch in as_is} == {(None, None)}
    first, second, _ = train(share=0.5, sample=blank, least_probability=0.999).epochs
    assert (first.generated, first.left_out) == (320, 0)  # in the first epoch the net knows nothing yet
    assert (second.generated, second.left_out) == (320, 320)


def test_validation_is_recorded_and_callbacks_are_optional() -> None:
    batches = Batches(
        images=torch.from_numpy(DIGITS.images),
        labels=torch.from_numpy(DIGITS.known_labels()),
        warp=Warp(),
        batch_size=32,
        epoch_images=1,
    )
    epochs: list[ClassifierEpoch] = []
    seeds, fit = SeedStream(0, 0), replace(FIT, epochs=1)
    with_callbacks = fit_classifier(
        initial_classifier(NET, seeds),
        batches,
        fit,
        COMPUTE,
        seeds,
        validate=lambda net: 0.25,
        after_epoch=lambda epoch, _: epochs.append(epoch),
    )
    assert [epoch.validation_accuracy for epoch in epochs] == [0.25]
    assert same_weights(with_callbacks, fit_classifier(initial_classifier(NET, seeds), batches, fit, COMPUTE, seeds))
