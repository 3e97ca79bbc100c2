"""Folds are disjoint, cover everything, are even in every class, and keep identical images together."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import few_digits
from hypothesis import given, settings
from hypothesis import strategies as st

from tenfold.digits import joined
from tenfold.errors import BadInput
from tenfold.folds import stratified


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


def test_the_seed_decides() -> None:
    digits = few_digits(200)
    assert (stratified(digits, 5, seed=1) == stratified(digits, 5, seed=1)).all()
    assert (stratified(digits, 5, seed=1) != stratified(digits, 5, seed=2)).any()


def test_more_folds_than_a_class_has_images_is_refused() -> None:
    with pytest.raises(BadInput, match=r"11 folds need 11 distinct images .* 10 of digit"):
        stratified(few_digits(100), 11, seed=0)
