"""The classifier learns, the same seed gives the same bytes, and a stopped training ends as an unstopped one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from conftest import few_digits

from tenfold.data.batches import Expansion
from tenfold.data.digits import Digits
from tenfold.errors import RunFailed
from tenfold.models.classifier import Classifier
from tenfold.models.inference import probabilities
from tenfold.seeds import SeedStream
from tenfold.settings import Compute, Fit, Net, Settings
from tenfold.sources import sample
from tenfold.storage import checkpoint
from tenfold.storage.checkpoint import Checkpoint, Unusable
from tenfold.training.device import prepare_process
from tenfold.training.fit_classifier import fit_classifier

SETTINGS = Settings(
    net=Net((8, 12, 16)),
    fit=Fit(epochs=3, epoch_images=320, batch_size=32, ema_decay=0.9),
    compute=Compute("cpu", "fp32", 1, 1),
)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    prepare_process(SETTINGS.compute)


def trained(
    digits: Digits, settings: Settings = SETTINGS, resume: Checkpoint | None = None, fold: int = 0
) -> tuple[Classifier, list[dict[str, Any]], list[Checkpoint]]:
    fit = settings.fit
    images, labels = torch.from_numpy(digits.images), torch.from_numpy(digits.known_labels())
    expansion = Expansion(images, labels, settings.warp, fit.batch_size, fit.epoch_images)
    records, states = [], []

    def after_epoch(record: dict[str, Any], state: Checkpoint) -> None:
        records.append(record)
        states.append(replace(state, tensors={key: value.clone() for key, value in state.tensors.items()}))

    return fit_classifier(expansion, settings, SeedStream(settings.seed, fold), resume, after_epoch), records, states


def same_weights(a: torch.nn.Module, b: torch.nn.Module) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


def test_the_loss_falls_and_real_digits_are_learnt() -> None:
    train, test = sample.load()
    settings = replace(SETTINGS, fit=replace(SETTINGS.fit, epochs=4, epoch_images=1400))
    net, records, _ = trained(train, settings)
    losses = [record["loss"] for record in records]
    assert losses == sorted(losses, reverse=True)
    said = probabilities(net, test.images, torch.device("cpu"))
    assert (said.argmax(1) == test.known_labels()).mean() > 0.8


def test_the_same_seed_gives_the_same_bytes_and_another_fold_others() -> None:
    digits = few_digits(64)
    first, again, other = trained(digits)[0], trained(digits)[0], trained(digits, fold=1)[0]
    assert same_weights(first, again)
    assert not same_weights(first, other)


@pytest.mark.parametrize("stopped_after", [1, 2])
def test_a_training_continued_from_a_stored_checkpoint_ends_with_the_same_bytes(
    stopped_after: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    digits = few_digits(64)
    whole, records, states = trained(digits)
    path = tmp_path_factory.mktemp("checkpoint") / "state.safetensors"
    checkpoint.save(path, states[stopped_after - 1])
    continued, later, _ = trained(digits, resume=checkpoint.load(path))
    assert same_weights(whole, continued)
    assert records[stopped_after:] == later


def test_a_checkpoint_cut_anywhere_is_told_from_a_whole_one(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("cut") / "state.safetensors"
    checkpoint.save(path, trained(few_digits(64))[2][0])
    data = path.read_bytes()
    for length in (0, 7, 100, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:length])
        with pytest.raises(Unusable, match="is damaged"):
            checkpoint.load(path)


def test_a_loss_that_is_no_number_stops_the_fold_and_names_the_place(monkeypatch: pytest.MonkeyPatch) -> None:
    whole, calls = torch.nn.functional.cross_entropy, iter(range(1000))

    def lost_in_epoch_2(*arguments: Any, **options: Any) -> torch.Tensor:
        return whole(*arguments, **options) * (float("nan") if next(calls) == 13 else 1)

    monkeypatch.setattr("torch.nn.functional.cross_entropy", lost_in_epoch_2)
    place = r"loss became nan in epoch 2, step 4 \(learning rates 0.026 and 0.0052\); the checkpoint after epoch 1"
    with pytest.raises(RunFailed, match=place):
        trained(few_digits(64))


def test_probabilities_do_not_depend_on_the_company() -> None:
    net = Classifier(SETTINGS.net).eval()
    images = few_digits(1203).images
    together = probabilities(net, images, torch.device("cpu"))
    assert together.shape == (1203, 10) and together.sum(1) == pytest.approx(np.ones(1203), abs=1e-5)
    assert together[700] == pytest.approx(probabilities(net, images[700:701], torch.device("cpu"))[0], abs=1e-6)
    assert probabilities(net, images[:0], torch.device("cpu")).shape == (0, 10)
