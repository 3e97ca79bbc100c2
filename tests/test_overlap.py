"""Nothing that is tested on is trained on, and no image counts twice."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import few_digits
from hypothesis import given, settings
from hypothesis import strategies as st

from tenfold.data import overlap
from tenfold.data.digits import Digits, joined
from tenfold.settings import Data
from tenfold.sources.load import load_sources

DISTINCT = few_digits(12)
ROWS = st.lists(st.integers(0, 11), min_size=1, max_size=30)
OTHERS = few_digits(5, seed=9)


def rows(index: list[int]) -> Digits:
    return DISTINCT.take(np.array(index))


@settings(deadline=None)
@given(train=ROWS, extra=ROWS, test=ROWS)
def test_honest_digits_avoid_the_test_set_and_repeats(train: list[int], extra: list[int], test: list[int]) -> None:
    kept, record = overlap.guard(rows(train), rows(extra), rows(test), "honest")
    expected = set(joined(rows(train), rows(extra)).keys().tolist()) - set(rows(test).keys().tolist())
    assert set(kept.keys().tolist()) == expected
    assert len(kept) == len(expected) == record.kept
    assert record.offered == len(train) + len(extra) == record.in_test + record.repeated + record.kept
    assert record.honest and record.sentence().startswith("overlap: honest. dropped")


@settings(deadline=None)
@given(train=ROWS, extra=ROWS, test=ROWS)
def test_an_allowed_overlap_keeps_everything_as_leaked(train: list[int], extra: list[int], test: list[int]) -> None:
    kept, record = overlap.guard(rows(train), rows(extra), rows(test), "allow")
    assert len(kept) == len(train) + len(extra)
    assert not record.honest and "LEAKED" in record.sentence()


def test_the_label_in_the_first_source_wins() -> None:
    train, extra = few_digits(3, labels=[1, 2, 3]), few_digits(3, labels=[7, 7, 7])
    kept, record = overlap.guard(train, extra, OTHERS, "honest")
    assert kept.known_labels().tolist() == [1, 2, 3]
    assert (record.added, record.repeated) == (0, 3)


def test_an_image_with_two_labels_in_one_file_is_kept_twice() -> None:
    train = joined(few_digits(3, labels=[1, 2, 3]), few_digits(3, labels=[1, 2, 8]))
    kept, record = overlap.guard(train, None, OTHERS, "honest")
    assert kept.known_labels().tolist() == [1, 2, 3, 8]
    assert (record.contradicting, record.repeated) == (1, 2)
    assert "1 rows contradict an earlier label of their image" in record.sentence()


def test_a_run_started_from_a_leaked_one_says_so() -> None:
    _, record = overlap.guard(DISTINCT, None, OTHERS, "honest")
    leaked = replace(record, honest=False, in_test=7)
    sentence = replace(record, honest=False, inherited=leaked).sentence()
    assert "weights trained on 7 test images with their labels" in sentence and "LEAKED" in sentence


@pytest.fixture(scope="module")
def kaggle(real_data: Path, cache: Path) -> tuple[Digits, Digits, Digits]:
    """Kaggle's training digits, all of MNIST, and Kaggle's test digits."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(cache))
        sources = load_sources(Data(source="kaggle", data=real_data))
    assert sources.extra is not None
    return sources.train, sources.extra, sources.test


@pytest.mark.real
def test_mnist_adds_nothing_to_the_complete_kaggle_files(kaggle: tuple[Digits, Digits, Digits]) -> None:
    train, extra, test = kaggle
    kept, record = overlap.guard(train, extra, test, "honest")
    assert (record.in_test, record.repeated, record.added, len(kept)) == (28_000, 42_000, 0, 42_000)
    assert (kept.images == train.images).all()


@pytest.mark.real
def test_mnist_restores_a_train_file_cut_to_8000_rows(kaggle: tuple[Digits, Digits, Digits]) -> None:
    train, extra, test = kaggle
    kept, record = overlap.guard(train.take(np.arange(8000)), extra, test, "honest")
    assert (record.added, len(kept)) == (34_000, 42_000)
    assert set(kept.keys().tolist()) == set(train.keys().tolist())


@pytest.mark.real
def test_labels_of_test_images_do_not_reach_training(kaggle: tuple[Digits, Digits, Digits]) -> None:
    """All later stages work on what the guard returns. With train.csv cut short, MNIST adds rows to it."""
    train, extra, test = kaggle
    short = train.take(np.arange(8000))
    in_test = np.isin(extra.keys(), test.keys())
    labels = extra.known_labels().copy()
    labels[in_test] = np.random.default_rng(0).permutation(labels[in_test])
    assert (labels != extra.known_labels()).sum() > 20_000
    kept, kept_permuted = (
        overlap.guard(short, part, test, "honest")[0] for part in (extra, replace(extra, labels=labels))
    )
    assert kept.sha256() == kept_permuted.sha256()
