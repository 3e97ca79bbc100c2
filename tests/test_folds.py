"""Folds are disjoint, cover all rows, are balanced in every class, and keep identical images together."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import few_digits
from hypothesis import given, settings
from hypothesis import strategies as st

from tenfold.data.digits import Digits, joined
from tenfold.data.folds import NOT_VALIDATED, stratified
from tenfold.errors import BadInput


def with_repeats(distinct: Digits, rows: list[int]) -> Digits:
    """The digits, and some of them again."""
    return joined(distinct, distinct.take(np.array(rows, dtype=np.int64)))


@settings(deadline=None, max_examples=50)
@given(k=st.integers(2, 7), per_class=st.integers(7, 15), repeats=st.lists(st.integers(0, 69), max_size=40))
def test_folds_cover_and_balance_all_and_split_no_image(k: int, per_class: int, repeats: list[int]) -> None:
    distinct = few_digits(10 * per_class)
    digits = with_repeats(distinct, repeats)
    fold_of = stratified(digits, k, seed=0)
    assert set(fold_of.tolist()) == set(range(k))
    for label in range(10):
        sizes = np.bincount(fold_of[: len(distinct)][distinct.known_labels() == label], minlength=k)
        assert np.ptp(sizes) <= 1
    assert len(set(zip(digits.keys().tolist(), fold_of.tolist(), strict=True))) == len(distinct)


@settings(deadline=None, max_examples=30)
@given(repeats=st.lists(st.integers(0, 199), max_size=40), reserve=st.sampled_from([0.1, 0.25, 0.5]))
def test_a_reserve_takes_its_share_and_moves_nothing_else(repeats: list[int], reserve: float) -> None:
    distinct = few_digits(200)
    digits = with_repeats(distinct, repeats)
    without, fold_of = stratified(digits, 4, seed=0), stratified(digits, 4, seed=0, reserve=reserve)
    reserved = fold_of == NOT_VALIDATED
    assert (fold_of[~reserved] == without[~reserved]).all()
    reserved_per_class = np.bincount(distinct.known_labels()[reserved[: len(distinct)]], minlength=10)
    assert (reserved_per_class == round(20 * reserve)).all()
    assert not np.isin(digits.keys()[reserved], digits.keys()[~reserved]).any()


def test_the_seed_determines_the_folds() -> None:
    digits = few_digits(200)
    assert (stratified(digits, 5, seed=1) == stratified(digits, 5, seed=1)).all()
    assert (stratified(digits, 5, seed=1) != stratified(digits, 5, seed=2)).any()


@pytest.mark.parametrize(
    ("k", "reserve", "sentence"),
    [
        (11, 0.0, r"folds: 11 folds need 11 distinct images .* there are 10 of digit 0; use fewer folds or more data"),
        (
            8,
            0.5,
            r"folds: 8 folds need 8 distinct .* there are 10 of digit 0, 5 of them outside the reserve; use fewer",
        ),
    ],
)
def test_too_few_images_of_a_class_are_refused(k: int, reserve: float, sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence):
        stratified(few_digits(100), k, seed=0, reserve=reserve)
