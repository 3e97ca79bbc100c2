"""Folds are disjoint, cover everything, are even in every class, and keep identical images together."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import few_digits
from hypothesis import given, settings
from hypothesis import strategies as st

from tenfold.data.digits import joined
from tenfold.data.folds import NOT_VALIDATED, stratified
from tenfold.errors import BadInput


@settings(deadline=None)
@given(k=st.integers(2, 7), per_class=st.integers(7, 15), repeats=st.lists(st.integers(0, 69), max_size=40))
def test_folds_cover_spread_and_hold_together(k: int, per_class: int, repeats: list[int]) -> None:
    once = few_digits(10 * per_class)
    digits = joined(once, once.take(np.array(repeats, dtype=np.int64)))
    fold_of = stratified(digits, k, seed=0)
    assert set(fold_of.tolist()) == set(range(k))
    for label in range(10):
        sizes = np.bincount(fold_of[: len(once)][once.known_labels() == label], minlength=k)
        assert np.ptp(sizes) <= 1
    sides: dict[bytes, set[int]] = {}
    for key, fold in zip(digits.keys().tolist(), fold_of.tolist(), strict=True):
        sides.setdefault(key, set()).add(fold)
    assert all(len(folds) == 1 for folds in sides.values())


@settings(deadline=None, max_examples=30)
@given(repeats=st.lists(st.integers(0, 199), max_size=40), reserve=st.sampled_from([0.1, 0.25, 0.5]))
def test_a_reserve_takes_its_share_of_every_class_and_moves_nothing_else(repeats: list[int], reserve: float) -> None:
    once = few_digits(200)
    digits = joined(once, once.take(np.array(repeats, dtype=np.int64)))
    without, fold_of = stratified(digits, 4, seed=0), stratified(digits, 4, seed=0, reserve=reserve)
    reserved = fold_of == NOT_VALIDATED
    assert (fold_of[~reserved] == without[~reserved]).all()
    held = np.bincount(once.known_labels()[reserved[: len(once)]], minlength=10)
    assert (held == round(20 * reserve)).all()
    assert not set(digits.take(reserved).keys().tolist()) & set(digits.take(~reserved).keys().tolist())


def test_a_reserve_that_leaves_too_few_is_refused() -> None:
    with pytest.raises(BadInput, match=r"8 folds need 8 distinct .* 10 of digit 0, 5 of them outside the reserve"):
        stratified(few_digits(100), 8, seed=0, reserve=0.5)


def test_the_seed_decides() -> None:
    digits = few_digits(200)
    assert (stratified(digits, 5, seed=1) == stratified(digits, 5, seed=1)).all()
    assert (stratified(digits, 5, seed=1) != stratified(digits, 5, seed=2)).any()


def test_more_folds_than_a_class_has_images_is_refused() -> None:
    with pytest.raises(BadInput, match=r"11 folds need 11 distinct images .* 10 of digit"):
        stratified(few_digits(100), 11, seed=0)
