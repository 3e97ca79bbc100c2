"""Images of no digit look like MNIST's, and a net that has seen some of them doubts others."""

from __future__ import annotations

import numpy as np
import pytest

from tenfold.data.non_digits import non_digits
from tenfold.sources import sample
from tenfold_onnx import Classifier

DIGITS, TEST = sample.load()


def test_they_are_placed_and_drawn_as_in_mnist() -> None:
    images = non_digits(120, DIGITS, seed=1)
    assert images.shape == (120, 28, 28) and images.dtype == np.uint8
    assert (images.max((1, 2)) == 255).all()
    mass = images.astype(float) / images.sum((1, 2), keepdims=True)
    for axis in (1, 2):
        centres = mass.sum(3 - axis) @ (np.arange(28) + 0.5)
        assert np.abs(centres - 14).mean() < 1
    extents = [np.ptp(np.argwhere(image > 100), axis=0).max() + 1 for image in images]
    assert 15 < np.mean(extents) < 24
    widths = (images > 128).mean((1, 2)) / (DIGITS.images > 128).mean()  # a letter has about as much ink as a digit
    assert 0.6 < np.median(widths) < 2


def test_the_seed_alone_determines_them() -> None:
    first, again, other = (non_digits(24, DIGITS, seed) for seed in (3, 3, 4))
    assert (first == again).all() and (first != other).any()


def test_several_of_them_show_digits_side_by_side() -> None:
    """Every sixth: made of real digits, so other digits give other images."""
    some, others = (non_digits(12, digits, seed=5) for digits in (DIGITS, TEST))
    changed = np.flatnonzero((some != others).any((1, 2)))
    assert changed.tolist() == [5, 11]


@pytest.mark.parametrize(("threshold", "most_others", "least_digits"), [(0.5, 0.3, 0.995), (0.9, 0.15, 0.98)])
def test_the_models_that_ship_doubt_what_is_no_digit(threshold: float, most_others: float, least_digits: float) -> None:
    """Some of them are like digits: a U is written as some people write a 4."""
    classifier = Classifier()
    others = classifier.predict_proba(non_digits(600, TEST, seed=10**6)).max(1)
    digits = classifier.predict_proba(TEST.images).max(1)
    assert (others >= threshold).mean() < most_others
    assert (digits >= threshold).mean() > least_digits
