"""Batches hold what was asked for, and (seed, epoch) alone decides them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from conftest import few_digits
from hypothesis import given, settings
from hypothesis import strategies as st

from tenfold.data.batches import Expansion
from tenfold.settings import Warp
from tenfold.training.schedule import warm_up_then_decay

STILL = Warp(rotation_deg=0, shear_deg=0, scale=0, shift_px=0)


def blank(labels: torch.Tensor, draws: torch.Generator) -> torch.Tensor:
    return torch.zeros(len(labels), 28, 28, dtype=torch.uint8)


def expansion(n: int = 50, **changes: Any) -> Expansion:
    digits = few_digits(n)
    given: dict[str, Any] = {"warp": STILL, "batch_size": 10, "epoch_images": 1} | changes
    return Expansion(torch.from_numpy(digits.images), torch.from_numpy(digits.known_labels()), **given)


def batches(source: Expansion, seed: int = 0) -> list[tuple[torch.Tensor, torch.Tensor]]:
    draws = torch.Generator().manual_seed(seed)
    found = [(images, targets.argmax(1)) for images, targets in source.batches(source.generated(draws), draws)]
    assert source.asks is False
    return found


def test_an_epoch_shows_every_digit_once_under_its_label() -> None:
    digits = few_digits(50)
    images, labels = (torch.cat(part) for part in zip(*batches(expansion()), strict=True))
    seen = {
        image.mul(255).round().byte().numpy().tobytes(): int(label) for image, label in zip(images, labels, strict=True)
    }
    known = zip(digits.images, digits.known_labels(), strict=True)
    assert seen == {image.tobytes(): int(label) for image, label in known}


@settings(deadline=None, max_examples=40)
@given(n=st.integers(1, 60), batch=st.integers(2, 20), share=st.floats(0, 0.5), floor=st.integers(1, 100))
def test_batches_have_the_share_of_generated_digits(n: int, batch: int, share: float, floor: int) -> None:
    source = expansion(n, batch_size=batch, share=share, sample=blank, epoch_images=floor)
    made = round(share * batch)
    real = batch - made
    found = batches(source)
    assert len(found) == source.steps == max(1, max(n, floor) // real)
    for images, labels in found:
        assert images.shape == (real + made, 1, 28, 28) and labels.shape == (real + made,)
        assert int((images.amax(dim=(1, 2, 3)) == 0).sum()) == made


def test_generated_labels_are_balanced_over_an_epoch() -> None:
    source = expansion(100, batch_size=10, share=0.5, sample=blank)
    made = torch.cat([labels[images.amax(dim=(1, 2, 3)) == 0] for images, labels in batches(source)])
    assert torch.bincount(made, minlength=10).tolist() == [10] * 10


def thinks(images: torch.Tensor) -> torch.Tensor:
    """Sure that every other picture is a 3."""
    said = torch.full((len(images), 10), 0.05)
    said[::2, 3] = 0.55
    said[1::2] = 0.1
    return said


def test_what_an_opinion_finds_off_its_label_makes_way_for_real_digits() -> None:
    source = expansion(100, batch_size=10, share=0.5, sample=blank, least_probability=0.5)
    assert source.asks
    draws = torch.Generator().manual_seed(0)
    generated = source.generated(draws, thinks)
    kept = ~generated.left_out
    assert (generated.labels[kept] == 3).all() and (thinks(generated.images)[kept, 3] > 0.5).all()
    images, targets = (torch.cat(part) for part in zip(*source.batches(generated, draws), strict=True))
    assert int((images.amax(dim=(1, 2, 3)) == 0).sum()) == int(kept.sum()) < len(kept)
    digits = few_digits(100)
    known = {image.tobytes(): int(label) for image, label in zip(digits.images, digits.known_labels(), strict=True)}
    for image, target in zip(images, targets, strict=True):
        if image.amax() > 0:  # a real digit under its own label, in whosever place
            assert target.tolist() == torch.eye(10)[known[image.mul(255).round().byte().numpy().tobytes()]].tolist()


def test_an_opinion_can_be_learnt_in_the_labels_place() -> None:
    source = expansion(100, batch_size=10, share=0.5, sample=blank, soft_labels=True)
    draws = torch.Generator().manual_seed(0)
    generated = source.generated(draws, thinks)
    assert not generated.left_out.any() and torch.equal(generated.targets, thinks(generated.images))
    images, targets = (torch.cat(part) for part in zip(*source.batches(generated, draws), strict=True))
    learnt = targets[images.amax(dim=(1, 2, 3)) == 0]
    assert sorted(learnt.amax(1).tolist()) == sorted(thinks(generated.images).amax(1).tolist())


def test_without_an_opinion_all_are_taken_as_they_are() -> None:
    source = expansion(100, batch_size=10, share=0.5, sample=blank, least_probability=0.9, soft_labels=True)
    generated = source.generated(torch.Generator().manual_seed(0))
    assert not generated.left_out.any() and torch.equal(generated.targets.argmax(1), generated.labels)


def test_the_draws_decide_the_batches() -> None:
    first, again, other = (batches(expansion(warp=Warp()), seed) for seed in (1, 1, 2))
    assert all(torch.equal(a[0], b[0]) and torch.equal(a[1], b[1]) for a, b in zip(first, again, strict=True))
    assert any(not torch.equal(a[0], b[0]) for a, b in zip(first, other, strict=True))


def test_the_learning_rate_rises_to_its_peak_and_falls_to_nothing() -> None:
    rates = [warm_up_then_decay(step, 100, 0.2) for step in range(100)]
    peak = rates.index(max(rates))
    assert 18 <= peak <= 21 and max(rates) == pytest.approx(1, abs=0.03)
    assert rates[:peak] == sorted(rates[:peak]) and rates[peak:] == sorted(rates[peak:], reverse=True)
    assert 0 < rates[0] < 0.05 and 0 < rates[-1] < 0.05
