"""The conditional GAN learns its classes, is reproducible, and goes on where it stopped."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from conftest import few_digits
from PIL import Image

from tenfold.models.cgan import Discriminator, Generator
from tenfold.models.inference import sampler
from tenfold.seeds import SeedStream
from tenfold.settings import Cgan, Compute, Settings
from tenfold.sources import sample
from tenfold.storage.checkpoint import Checkpoint
from tenfold.training.device import prepare_process
from tenfold.training.fit_generator import _spread, fit_generator
from tenfold.training.gan_loss import GAN_LOSSES, discriminator_loss, generator_loss, gradient_penalty, shifted

SETTINGS = Settings(
    cgan=Cgan(epochs=2, epoch_images=64, batch_size=32, z_dim=8, width=4, ema_decay=0.9),
    compute=Compute("cpu", "fp32", 1, 1),
)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    prepare_process(SETTINGS.compute)


def bars(n: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Digits that are easily told apart: a bright band whose height is the label's."""
    labels = torch.arange(n) % 10
    images = torch.zeros(n, 28, 28, dtype=torch.uint8)
    for place, label in enumerate(labels.tolist()):
        images[place, 4 + 2 * label : 6 + 2 * label, 4:24] = 255
    return images, labels


def fitted(
    settings: Settings = SETTINGS, resume: Checkpoint | None = None, fold: int = 0
) -> tuple[Generator, list[dict[str, Any]], list[Checkpoint], list[bytes]]:
    records, states, grids = [], [], []

    def after_epoch(record: dict[str, Any], state: Checkpoint, grid: bytes) -> None:
        records.append(record)
        states.append(replace(state, tensors={key: value.clone() for key, value in state.tensors.items()}))
        grids.append(grid)

    return (
        fit_generator(*bars(64), settings, SeedStream(settings.seed, fold), resume, after_epoch),
        records,
        states,
        grids,
    )


def drawn(generator: Generator, labels: list[int], seed: int = 0) -> torch.Tensor:
    draws = torch.Generator().manual_seed(seed)
    return sampler(generator, SETTINGS.cgan.z_dim)(torch.tensor(labels), draws)


def test_it_learns_to_draw_what_it_is_asked_for() -> None:
    # No shifts: here the place of a bar is its label.
    cgan = Cgan(epochs=8, epoch_images=960, batch_size=32, z_dim=8, width=8, shift_px=0, lr=0.001, ema_decay=0.97)
    generator = fitted(replace(SETTINGS, cgan=cgan))[0]
    images = drawn(generator, [label for label in range(10) for _ in range(10)]).float()
    brightest = images[:, :, 4:24].mean(2).argmax(1)
    wanted = torch.arange(10).repeat_interleave(10) * 2 + 4
    assert ((brightest - wanted).abs() <= 1).float().mean() > 0.9


def test_the_same_seed_gives_the_same_generator_and_grids() -> None:
    first, again, other = fitted(), fitted(), fitted(fold=1)
    assert torch.equal(drawn(first[0], [3, 7]), drawn(again[0], [3, 7]))
    assert first[3] == again[3]
    assert first[3] != other[3]


def test_a_continued_fit_ends_with_the_same_bytes() -> None:
    whole, records, states, grids = fitted()
    continued, later, _, later_grids = fitted(resume=states[0])
    same = zip(whole.state_dict().values(), continued.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in same)
    assert (later, later_grids) == (records[1:], grids[1:])


def test_each_epoch_leaves_a_grid_of_a_row_a_digit() -> None:
    for grid in fitted()[3]:
        with Image.open(io.BytesIO(grid)) as image:
            assert image.size == (302, 302)


def test_each_players_loss_is_what_its_formula_says() -> None:
    class Told(torch.nn.Module):
        """Scores an image by its first pixel."""

        def forward(self, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
            return images[:, 0, 0, 0]

    def images(scores: np.ndarray) -> torch.Tensor:  # type: ignore[type-arg]
        return torch.from_numpy(scores)[:, None, None, None].expand(-1, 1, 28, 28)

    labels = torch.zeros(2, dtype=torch.int64)
    real, generated = np.array([2.0, 0.5]), np.array([-3.0, 0.5])
    d_real, d_generated = 1 / (1 + np.exp(-real)), 1 / (1 + np.exp(-generated))
    expected = {
        "non-saturating": (-np.log(d_real).mean() - np.log(1 - d_generated).mean(), -np.log(d_generated).mean()),
        "least-squares": (((real - 1) ** 2).mean() + (generated**2).mean(), ((generated - 1) ** 2).mean()),
        "hinge": ((0 + 0.5) / 2 + (0 + 1.5) / 2, -generated.mean()),
    }
    assert expected.keys() == GAN_LOSSES.keys()
    for name, (of_discriminator, of_generator) in expected.items():
        found = discriminator_loss(GAN_LOSSES[name], Told(), images(real), images(generated), labels)
        assert [float(part) for part in found] == pytest.approx([of_discriminator, real.mean(), generated.mean()])
        assert float(generator_loss(GAN_LOSSES[name], Told(), images(generated), labels)) == pytest.approx(of_generator)


def test_the_penalty_is_the_squared_gradient_that_small_steps_show() -> None:
    class Curved(torch.nn.Module):
        def forward(self, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
            return images.flatten(1).pow(3).sum(1) * (1 + labels)

    images, labels = torch.rand(3, 1, 4, 4, dtype=torch.float64), torch.tensor([0, 1, 5])
    slopes = torch.zeros(3, 16, dtype=torch.float64)
    for pixel in range(16):
        step = torch.zeros(16, dtype=torch.float64)
        step[pixel] = 1e-6
        up, down = (Curved()((images.flatten(1) + sign * step).view_as(images), labels) for sign in (1, -1))
        slopes[:, pixel] = (up - down) / 2e-6
    found = float(gradient_penalty(Curved(), images, labels).detach())
    assert found == pytest.approx(float(slopes.square().sum(1).mean()), rel=1e-6)


def test_shifts_move_whole_pictures_and_let_gradients_through() -> None:
    images = torch.zeros(200, 1, 28, 28)
    images[:, :, 12:16, 12:16] = 1
    images.requires_grad_()
    draws = torch.Generator().manual_seed(0)
    moved = shifted(images, 2.0, draws)
    assert moved.sum(dim=(1, 2, 3)).detach() == pytest.approx(16, rel=1e-3)
    rows = (moved.detach().sum(dim=(1, 3)) * torch.arange(28)).sum(1) / 16 - 13.5
    assert -2.01 < rows.min() < -1.5 and 1.5 < rows.max() < 2.01
    moved.sum().backward()
    assert images.grad is not None and images.grad[:, :, 12:16, 12:16].min() > 0.9
    assert shifted(images, 0.0, draws) is images


@pytest.mark.parametrize(
    "options",
    [
        {"loss": "least-squares", "condition": "planes"},
        {"loss": "hinge", "r1": 1.0, "shift_px": 2.0},
        {"trunk": 28, "skip": True, "class_dim": 3, "lr_decay": 1.0},
    ],
)
def test_every_option_reaches_the_generator_and_a_continued_fit_ends_the_same(options: dict[str, Any]) -> None:
    plain = fitted()[0]
    settings = replace(SETTINGS, cgan=replace(SETTINGS.cgan, **options))
    whole, records, states, grids = fitted(settings)
    continued, _, _, later_grids = fitted(settings, resume=states[0])
    assert not torch.equal(drawn(whole, [3, 7]), drawn(plain, [3, 7]))
    assert torch.equal(drawn(whole, [3, 7]), drawn(continued, [3, 7])) and later_grids == grids[1:]
    assert all(np.isfinite(list(record.values())).all() for record in records)


def test_both_ways_of_telling_the_discriminator_the_digit_reach_its_score() -> None:
    images, labels = bars(20)
    for condition in ("projection", "planes"):
        discriminator = Discriminator(replace(SETTINGS.cgan, condition=condition))
        scores = [discriminator(images.unsqueeze(1).float() / 255, asked) for asked in (labels, (labels + 1) % 10)]
        assert not torch.allclose(*scores)


def test_the_discriminators_step_leaves_the_generator_alone() -> None:
    generator, discriminator = Generator(SETTINGS.cgan), Discriminator(SETTINGS.cgan)
    images, labels = bars(8)
    made = generator(torch.randn(8, 8), labels)
    real = images.unsqueeze(1).float() / 255
    discriminator_loss(GAN_LOSSES["non-saturating"], discriminator, real, made, labels)[0].backward()
    assert all(weight.grad is None for weight in generator.parameters())
    assert all(weight.grad is not None for weight in discriminator.parameters())


def test_drawn_digits_are_uint8_and_follow_z() -> None:
    generator = fitted()[0]
    images = drawn(generator, [5] * 20)
    assert images.dtype == torch.uint8 and images.shape == (20, 28, 28)
    assert len(np.unique(images.numpy().reshape(20, -1), axis=0)) == 20


def test_fewer_digits_than_a_batch_still_train() -> None:
    digits = few_digits(10)
    generator = fit_generator(
        torch.from_numpy(digits.images),
        torch.from_numpy(digits.known_labels()),
        SETTINGS,
        SeedStream(0, 0),
        None,
        lambda *_: None,
    )
    assert drawn(generator, [0]).shape == (1, 28, 28)


def test_variety_tells_a_collapse_from_real_digits() -> None:
    train, _ = sample.load()
    images, labels = torch.from_numpy(train.images), torch.from_numpy(train.known_labels())
    collapsed = torch.stack([images[labels == label][0] for label in labels.tolist()])
    assert _spread(collapsed, labels) < 0.01 * _spread(images, labels)
