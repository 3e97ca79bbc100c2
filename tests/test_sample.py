"""The built-in sample: five thousand digits of MNIST's training split."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tenfold.data.digits import Digits, joined
from tenfold.data.overlap import guard
from tenfold.evaluation.judge import look_up_labels
from tenfold.sources import mnist, sample


@pytest.fixture(scope="module")
def sampled() -> tuple[Digits, Digits]:
    return sample.load()


def test_the_sample_is_400_and_100_digits_of_each_class(sampled: tuple[Digits, Digits]) -> None:
    for part, per_class in zip(sampled, (400, 100), strict=True):
        assert np.bincount(part.known_labels()).tolist() == [per_class] * 10
        assert part.images.dtype == np.uint8 and part.images.max() == 255
    assert len(np.unique(joined(*sampled).origin)) == 5000


def test_no_image_of_the_sample_occurs_twice(sampled: tuple[Digits, Digits]) -> None:
    assert len(np.unique(joined(*sampled).keys())) == 5000


@pytest.mark.real
def test_the_sample_is_in_mnists_training_split(
    sampled: tuple[Digits, Digits], real_data: Path, own_cache: Path
) -> None:
    digits, (train, _) = joined(*sampled), mnist.load(real_data, download=False)
    assert np.array_equal(look_up_labels(digits, train), digits.labels)


@pytest.mark.real
def test_the_guard_keeps_the_sample_out_of_kaggles_test(sampled: tuple[Digits, Digits], real_test: Digits) -> None:
    kept, dropped = guard(joined(*sampled), None, real_test, "honest")
    assert dropped.in_test == 1995 and len(kept) == 5000 - 1995
    assert not np.isin(kept.keys(), real_test.keys()).any()


def test_the_sample_is_always_the_same(sampled: tuple[Digits, Digits]) -> None:
    assert [part.sha256() for part in sampled] == [part.sha256() for part in sample.load()]
