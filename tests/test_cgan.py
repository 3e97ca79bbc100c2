"""The conditional GAN learns its classes, is reproducible, and resumes where it stopped."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
import torch
from conftest import few_digits
from PIL import Image
from torch import Tensor, nn

from tenfold.errors import Diverged
from tenfold.models.cgan import Discriminator, Generator
from tenfold.models.inference import sampler
from tenfold.seeds import SeedStream
from tenfold.settings import Cgan, Compute, Loss
from tenfold.sources import sample
from tenfold.storage.checkpoint import Checkpoint
from tenfold.storage.epoch_log import GeneratorEpoch
from tenfold.training.device import prepare_process
from tenfold.training.fit_generator import fit_generator, variety
from tenfold.training.gan_loss import GAN_LOSSES, discriminator_loss, generator_loss, shifted
from tenfold.training.schedule import RateCut

CGAN = Cgan(epochs=2, epoch_images=64, batch_size=32, z_dim=8, width=4, ema_decay=0.9)
COMPUTE = Compute("cpu", "fp32", workers=1, threads=1)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    prepare_process(COMPUTE)


def bars(n: int) -> tuple[Tensor, Tensor]:
    """Digits that are easy to tell apart: a bright bar whose height in the image is the label's."""
    labels = torch.arange(n) % 10
    images = torch.zeros(n, 28, 28, dtype=torch.uint8)
    for index, label in enumerate(labels.tolist()):
        images[index, 4 + 2 * label : 6 + 2 * label, 4:24] = 255
    return images, labels


@dataclass
class Fitted:
    """A generator, and what its training gave after each epoch."""

    generator: Generator
    epochs: list[GeneratorEpoch] = field(default_factory=list)
    checkpoints: list[Checkpoint] = field(default_factory=list)
    grids: list[bytes] = field(default_factory=list)

    def draw(self, labels: Sequence[int], seed: int = 0) -> Tensor:
        rng = torch.Generator().manual_seed(seed)
        return sampler(self.generator, CGAN.z_dim)(torch.tensor(labels), rng)


def fit(
    cgan: Cgan = CGAN, resume: Checkpoint | None = None, fold: int = 0, rate_cuts: Sequence[RateCut] = ()
) -> Fitted:
    """A generator of bars."""
    result = Fitted(Generator(cgan))

    def after_epoch(epoch: GeneratorEpoch, state: Checkpoint, grid: bytes) -> None:
        result.epochs.append(epoch)
        result.checkpoints.append(
            replace(state, tensors={name: value.clone() for name, value in state.tensors.items()})
        )
        result.grids.append(grid)

    result.generator = fit_generator(
        *bars(64), cgan, COMPUTE, SeedStream(0, fold), resume=resume, after_epoch=after_epoch, rate_cuts=rate_cuts
    )
    return result


@pytest.fixture(scope="module")
def unstopped() -> Fitted:
    """A training that ran without a stop."""
    return fit()


def same_weights(a: nn.Module, b: nn.Module) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


def test_it_draws_the_requested_digits() -> None:
    # No shifts: here the height of a bar is its label.
    longer = replace(CGAN, epochs=5, epoch_images=480, width=6, shift_px=0, lr=0.003, ema_decay=0.97)
    images = fit(longer).draw([label for label in range(10) for _ in range(10)]).float()
    brightest_row = images[:, :, 4:24].mean(2).argmax(1)
    expected_row = torch.arange(10).repeat_interleave(10) * 2 + 4
    assert ((brightest_row - expected_row).abs() <= 1).float().mean() > 0.9


def test_the_same_seed_gives_the_same_generator_and_grids(unstopped: Fitted) -> None:
    same, other = fit(), fit(fold=1)
    assert same_weights(unstopped.generator, same.generator) and not same_weights(unstopped.generator, other.generator)
    assert unstopped.grids == same.grids != other.grids


def test_a_resumed_training_ends_with_the_same_bytes(unstopped: Fitted) -> None:
    resumed = fit(resume=unstopped.checkpoints[0])
    assert same_weights(unstopped.generator, resumed.generator)
    assert (resumed.epochs, resumed.grids) == (unstopped.epochs[1:], unstopped.grids[1:])


def test_each_epoch_gives_a_grid_with_one_row_per_digit(unstopped: Fitted) -> None:
    assert len(unstopped.grids) == CGAN.epochs
    for grid in unstopped.grids:
        with Image.open(io.BytesIO(grid)) as image:
            assert image.size == (302, 302)


class FirstPixel(nn.Module):
    """A discriminator that scores an image by its first pixel."""

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        return images[:, 0, 0, 0]


REAL, GENERATED = np.array([2.0, 0.5]), np.array([-3.0, 0.5])  # scores
P_REAL, P_GENERATED = 1 / (1 + np.exp(-REAL)), 1 / (1 + np.exp(-GENERATED))
# The losses of discriminator and generator, from the papers' formulas.
EXPECTED_LOSSES: dict[Loss, tuple[float, float]] = {
    "non-saturating": (-np.log(P_REAL).mean() - np.log(1 - P_GENERATED).mean(), -np.log(P_GENERATED).mean()),
    "least-squares": (((REAL - 1) ** 2).mean() + (GENERATED**2).mean(), ((GENERATED - 1) ** 2).mean()),
    "hinge": ((0 + 0.5) / 2 + (0 + 1.5) / 2, -GENERATED.mean()),
}


@pytest.mark.parametrize("name", GAN_LOSSES)
def test_each_loss_follows_its_formula(name: Loss) -> None:
    real, generated = (
        torch.from_numpy(scores)[:, None, None, None].expand(-1, 1, 28, 28) for scores in (REAL, GENERATED)
    )
    labels = torch.zeros(2, dtype=torch.int64)
    of_discriminator, of_generator = EXPECTED_LOSSES[name]
    loss, *scores = discriminator_loss(GAN_LOSSES[name], FirstPixel(), real, generated, labels)
    assert float(loss) == pytest.approx(of_discriminator)
    assert [float(score) for score in scores] == pytest.approx([REAL.mean(), GENERATED.mean()])
    assert float(generator_loss(GAN_LOSSES[name], FirstPixel(), generated, labels)) == pytest.approx(of_generator)


def test_shifts_move_whole_images_and_pass_gradients() -> None:
    images = torch.zeros(200, 1, 28, 28)
    images[:, :, 12:16, 12:16] = 1
    images.requires_grad_()
    rng = torch.Generator().manual_seed(0)
    moved = shifted(images, 2.0, rng)
    assert moved.sum(dim=(1, 2, 3)).detach() == pytest.approx(16, rel=1e-3)
    row_shifts = (moved.detach().sum(dim=(1, 3)) * torch.arange(28)).sum(1) / 16 - 13.5
    assert -2.01 < row_shifts.min() < -1.5 and 1.5 < row_shifts.max() < 2.01
    moved.sum().backward()
    assert images.grad is not None and images.grad[:, :, 12:16, 12:16].min() > 0.9
    assert shifted(images, 0.0, rng) is images


@pytest.mark.parametrize(
    "options",
    [
        {"loss": "least-squares"},
        {"loss": "non-saturating", "shift_px": 0.0},
        {"skip": True},
        {"class_dim": 3, "class_std": 1.0},
        {"lr": 0.002, "ema_decay": 0.5},
    ],
    ids=str,
)
def test_every_option_takes_effect_and_survives_a_resume(options: dict[str, Any], unstopped: Fitted) -> None:
    cgan = replace(CGAN, **options)
    changed = fit(cgan)
    resumed = fit(cgan, resume=changed.checkpoints[0])
    assert not torch.equal(changed.draw([3, 7]), unstopped.draw([3, 7]))
    assert same_weights(changed.generator, resumed.generator) and resumed.grids == changed.grids[1:]
    assert all(np.isfinite(list(epoch.numbers().values())).all() for epoch in changed.epochs)


def test_a_rate_cut_takes_effect_from_its_epoch_on(unstopped: Fitted) -> None:
    cut = fit(rate_cuts=[RateCut(1, 0.5)])
    assert unstopped.epochs[0] == cut.epochs[0] and unstopped.epochs[1] != cut.epochs[1]
    assert not same_weights(unstopped.generator, cut.generator)


def test_a_loss_of_nan_stops_the_training(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = iter(range(1000))

    def nan_in_epoch_2(*arguments: Any) -> Tensor:
        return generator_loss(*arguments) * (float("nan") if next(steps) == 3 else 1)

    monkeypatch.setattr("tenfold.training.fit_generator.generator_loss", nan_in_epoch_2)
    with pytest.raises(Diverged, match=r"became .* / nan in epoch 2 \(learning rate 0.001\); .*--cut-rates"):
        fit()


def test_the_requested_digit_changes_the_discriminators_score() -> None:
    images, labels = bars(20)
    discriminator = Discriminator(CGAN)
    right, wrong = (discriminator(images.unsqueeze(1).float() / 255, part) for part in (labels, (labels + 1) % 10))
    assert not torch.isclose(right, wrong).any()


def test_the_discriminators_loss_spares_the_generator() -> None:
    generator, discriminator = Generator(CGAN), Discriminator(CGAN)
    images, labels = bars(8)
    generated = generator(torch.randn(8, 8), labels)
    real = images.unsqueeze(1).float() / 255
    discriminator_loss(GAN_LOSSES["non-saturating"], discriminator, real, generated, labels)[0].backward()
    assert all(weight.grad is None for weight in generator.parameters())
    assert all(weight.grad is not None for weight in discriminator.parameters())


def test_drawn_digits_are_uint8_and_depend_on_z(unstopped: Fitted) -> None:
    images = unstopped.draw([5] * 20)
    assert images.dtype == torch.uint8 and images.shape == (20, 28, 28)
    assert len(np.unique(images.numpy().reshape(20, -1), axis=0)) == 20


def test_fewer_digits_than_a_batch_are_enough() -> None:
    digits = few_digits(10)
    images, labels = torch.from_numpy(digits.images), torch.from_numpy(digits.known_labels())
    generator = fit_generator(images, labels, CGAN, COMPUTE, SeedStream(0, 0))
    assert Fitted(generator).draw([0]).shape == (1, 28, 28)


class Copying(Generator):
    """A generator that copies training digits of the requested label: any of them, or after a collapse the first."""

    def __init__(self, images: Tensor, labels: Tensor, collapsed: bool) -> None:
        super().__init__(CGAN)
        self.rows = [images[labels == label].unsqueeze(1) / 255 for label in range(10)]
        self.collapsed = collapsed

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        picked = (z[:, 0].abs() * 1e6).long()
        chosen = [
            self.rows[label][0 if self.collapsed else index % len(self.rows[label])]
            for label, index in zip(labels.tolist(), picked.tolist(), strict=True)
        ]
        return torch.stack(chosen)


@pytest.mark.parametrize(("collapsed", "expected"), [(False, 1.0), (True, 0.0)])
def test_variety_detects_a_collapse(collapsed: bool, expected: float) -> None:
    train, _ = sample.load()
    images, labels = torch.from_numpy(train.images), torch.from_numpy(train.known_labels())
    generator = Copying(images, labels, collapsed)
    assert variety(generator, images, labels, CGAN, SeedStream(0, 0)) == pytest.approx(expected, abs=0.05)
