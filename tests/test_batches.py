"""Batches hold the requested shares of real and generated digits, and the seed alone determines them."""

from __future__ import annotations

from typing import Any

import torch
from conftest import few_digits
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tenfold.data.batches import Batches
from tenfold.settings import Warp

NO_WARP = Warp(rotation_deg=0, shear_deg=0, scale=0, shift_px=0)


def blank(labels: Tensor, rng: torch.Generator) -> Tensor:
    """A sampler whose digits are all black, as no real digit here is."""
    return torch.zeros(len(labels), 28, 28, dtype=torch.uint8)


def every_other_is_a_3(images: Tensor) -> Tensor:
    """Predictions that are sure of a 3 for every other image and undecided about the rest."""
    probs = torch.full((len(images), 10), 0.1)
    probs[::2] = 0.05
    probs[::2, 3] = 0.55
    return probs


def batches_of(n: int = 50, **options: Any) -> Batches:
    """Batches of 10 from `n` real digits, not warped, unless the options say otherwise."""
    digits = few_digits(n)
    images, labels = torch.from_numpy(digits.images), torch.from_numpy(digits.known_labels())
    defaults: dict[str, Any] = {"warp": NO_WARP, "batch_size": 10, "epoch_images": 1}
    return Batches(images=images, labels=labels, **(defaults | options))


def rng_of(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def first_epoch(batches: Batches, seed: int = 0) -> list[tuple[Tensor, Tensor]]:
    """Images and targets of each batch, without predictions for the generated digits."""
    rng = rng_of(seed)
    return list(batches.epoch(batches.generated(rng), rng))


def joined(epoch: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    images, targets = zip(*epoch, strict=True)
    return torch.cat(images), torch.cat(targets)


def is_blank(images: Tensor) -> Tensor:
    return images.amax(dim=(1, 2, 3)) == 0


def as_bytes(image: Tensor) -> bytes:
    return image.mul(255).round().byte().numpy().tobytes()


def true_labels(n: int) -> dict[bytes, int]:
    """The label of each real digit, by the bytes of its image."""
    digits = few_digits(n)
    return {image.tobytes(): int(label) for image, label in zip(digits.images, digits.known_labels(), strict=True)}


def test_an_epoch_shows_every_digit_once_with_its_label() -> None:
    images, targets = joined(first_epoch(batches_of(50)))
    labels = targets.argmax(1).tolist()
    assert len(images) == 50
    assert {as_bytes(image): label for image, label in zip(images, labels, strict=True)} == true_labels(50)


@settings(deadline=None, max_examples=20)
@given(n=st.integers(1, 30), batch=st.integers(2, 20), share=st.floats(0, 0.5), epoch_images=st.integers(1, 40))
def test_batches_hold_the_share_of_generated_digits(n: int, batch: int, share: float, epoch_images: int) -> None:
    batches = batches_of(n, batch_size=batch, share=share, sample=blank, epoch_images=epoch_images)
    generated = round(share * batch)
    epoch = first_epoch(batches)
    assert not batches.needs_predictions
    assert len(epoch) == batches.steps == max(1, max(n, epoch_images) // (batch - generated))
    for images, targets in epoch:
        assert images.shape == (batch, 1, 28, 28) and targets.shape == (batch, 10)
        assert int(is_blank(images).sum()) == generated


def test_generated_labels_are_balanced_over_an_epoch() -> None:
    images, targets = joined(first_epoch(batches_of(100, share=0.5, sample=blank)))
    labels = targets[is_blank(images)].argmax(1)
    assert torch.bincount(labels, minlength=10).tolist() == [10] * 10


def test_unlikely_generated_digits_give_way_to_real_ones() -> None:
    batches = batches_of(100, share=0.5, sample=blank, least_probability=0.5)
    assert batches.needs_predictions
    rng = rng_of()
    generated = batches.generated(rng, every_other_is_a_3)
    likely = ~generated.left_out
    assert 0 < likely.sum() < len(likely) and (generated.labels[likely] == 3).all()
    assert (every_other_is_a_3(generated.images)[likely, 3] > 0.5).all()
    images, targets = joined(list(batches.epoch(generated, rng)))
    assert is_blank(images).sum() == likely.sum()
    labels = true_labels(100)
    for image, target in zip(images, targets, strict=True):
        if image.amax() > 0:  # a real digit keeps its own label, also in place of a generated one
            assert target.tolist() == torch.eye(10)[labels[as_bytes(image)]].tolist()


def test_predictions_can_replace_the_labels() -> None:
    batches = batches_of(100, share=0.5, sample=blank, soft_labels=True)
    assert batches.needs_predictions
    rng = rng_of()
    generated = batches.generated(rng, every_other_is_a_3)
    expected = every_other_is_a_3(generated.images)
    assert not generated.left_out.any() and torch.equal(generated.targets, expected)
    images, targets = joined(list(batches.epoch(generated, rng)))
    assert sorted(targets[is_blank(images)].tolist()) == sorted(expected.tolist())


def test_without_predictions_generated_digits_are_used_as_is() -> None:
    batches = batches_of(100, share=0.5, sample=blank, least_probability=0.9, soft_labels=True)
    generated = batches.generated(rng_of())
    assert not generated.left_out.any() and torch.equal(generated.targets.argmax(1), generated.labels)


def test_the_seed_determines_the_batches() -> None:
    first, same, other = (joined(first_epoch(batches_of(warp=Warp()), seed)) for seed in (1, 1, 2))
    assert all(torch.equal(a, b) for a, b in zip(first, same, strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(first, other, strict=True))
