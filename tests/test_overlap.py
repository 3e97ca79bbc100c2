"""Nothing that is tested on is trained on, and no image counts twice."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import few_digits
from hypothesis import given, settings
from hypothesis import strategies as st

from tenfold.data import overlap
from tenfold.data.digits import Digits, joined
from tenfold.settings import Data
from tenfold.sources import mnist
from tenfold.sources.load import load_sources

POOL = few_digits(12)
rows = st.lists(st.integers(0, 11), min_size=1, max_size=30)


def picked(index: list[int]) -> Digits:
    return POOL.take(np.array(index))


@settings(deadline=None)
@given(train=rows, extra=rows, test=rows)
def test_honest_training_shares_no_image_with_the_test_set_and_repeats_none(
    train: list[int], extra: list[int], test: list[int]
) -> None:
    kept, found = overlap.guard(picked(train), picked(extra), picked(test), "honest")
    assert not set(kept.keys().tolist()) & set(picked(test).keys().tolist())
    assert len(set(kept.keys().tolist())) == len(kept) == found.kept
    assert {key for key in joined(picked(train), picked(extra)).keys().tolist()} - set(
        picked(test).keys().tolist()
    ) == set(kept.keys().tolist())
    assert found.offered == found.in_test + found.repeated + found.kept
    assert found.honest


@settings(deadline=None)
@given(train=rows, extra=rows, test=rows)
def test_allowing_the_overlap_keeps_everything_and_says_so(train: list[int], extra: list[int], test: list[int]) -> None:
    kept, found = overlap.guard(picked(train), picked(extra), picked(test), "allow")
    assert len(kept) == len(train) + len(extra)
    assert not found.honest
    assert "LEAKED" in found.sentence()


def test_the_label_in_the_first_source_wins() -> None:
    train, other = few_digits(3, labels=[1, 2, 3]), few_digits(3, labels=[7, 7, 7])
    kept, found = overlap.guard(train, other, few_digits(5, seed=9), "honest")
    assert kept.known_labels().tolist() == [1, 2, 3]
    assert (found.added, found.repeated) == (0, 3)


def test_an_image_under_two_labels_in_one_file_stays_and_is_counted() -> None:
    train = joined(few_digits(3, labels=[1, 2, 3]), few_digits(3, labels=[1, 2, 8]))
    kept, found = overlap.guard(train, None, few_digits(5, seed=9), "honest")
    assert kept.known_labels().tolist() == [1, 2, 3, 8]
    assert (found.contradicting, found.repeated) == (1, 2)
    assert "contradict" in found.sentence()


@pytest.fixture(scope="module")
def kaggle(real_data: object, cache: object) -> tuple[Digits, Digits, Digits]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(cache))
        found = load_sources(Data(source="kaggle", data=real_data))  # type: ignore[arg-type]
    assert found.extra is not None
    return found.train, found.extra, found.test


@pytest.mark.real
def test_on_the_real_files_honest_joining_adds_nothing(kaggle: tuple[Digits, Digits, Digits]) -> None:
    train, extra, test = kaggle
    kept, found = overlap.guard(train, extra, test, "honest")
    assert (found.in_test, found.repeated, found.added, len(kept)) == (28_000, 42_000, 0, 42_000)
    assert (kept.images == train.images).all()


@pytest.mark.real
def test_a_train_file_cut_to_8000_rows_gains_exactly_34000(kaggle: tuple[Digits, Digits, Digits]) -> None:
    train, extra, test = kaggle
    kept, found = overlap.guard(train.take(np.arange(8000)), extra, test, "honest")
    assert (found.added, len(kept)) == (34_000, 42_000)
    assert set(kept.keys().tolist()) == set(train.keys().tolist())


@pytest.mark.real
def test_labels_of_test_images_cannot_reach_training(
    kaggle: tuple[Digits, Digits, Digits], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What every later stage is made of: train.csv cut short, so that MNIST really adds rows."""
    train, extra, test = kaggle
    short = train.take(np.arange(8000))
    in_test = np.isin(extra.keys(), test.keys())
    labels = extra.known_labels().copy()
    labels[in_test] = np.random.default_rng(0).permutation(labels[in_test])
    assert (labels != extra.known_labels()).sum() > 20_000
    permuted = Digits(extra.images, labels, extra.origin)
    assert overlap.guard(short, extra, test, "honest")[0].sha256() == (
        overlap.guard(short, permuted, test, "honest")[0].sha256()
    )


def test_mnist_archives_have_their_names() -> None:
    assert sorted(mnist.NAMES) == [
        "t10k-images-idx3-ubyte.gz",
        "t10k-labels-idx1-ubyte.gz",
        "train-images-idx3-ubyte.gz",
        "train-labels-idx1-ubyte.gz",
    ]
