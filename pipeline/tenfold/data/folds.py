"""The folds: which rows validate which fold."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import StratifiedKFold, train_test_split

from tenfold.data.digits import Digits
from tenfold.errors import BadInput
from tenfold.seeds import ALL_DIGITS, RESERVE, SeedStream

NOT_VALIDATED: Final = -1  # the fold of rows in the reserve, which every fold trains on


def stratified(digits: Digits, k: int, seed: int, reserve: float = 0.0) -> npt.NDArray[np.int64]:
    """The fold of each row, int64 (N,) in 0..k-1, or NOT_VALIDATED for the share `reserve` of the rows.

    Each class is spread evenly; identical images share a fold. A reserve takes rows out of every fold and leaves the
    others in theirs. Splitting the distinct images takes 0.02 s, StratifiedGroupKFold 6 s. Raises BadInput where a
    class has fewer distinct images than folds.
    """
    _, first, group = np.unique(digits.keys(), return_index=True, return_inverse=True)
    labels = digits.known_labels()[first]
    counts = np.bincount(labels, minlength=10)
    left = np.floor(counts * (1 - reserve)).astype(np.int64)
    if left.min() < k:
        rarest = int(left.argmin())
        outside = f", {left[rarest]} of them outside the reserve" if reserve else ""
        raise BadInput(
            f"folds: {k} folds need {k} distinct images of each digit, but there are {counts[rarest]} of digit "
            f"{rarest}{outside}; use fewer folds or more data"
        )
    splitter = StratifiedKFold(k, shuffle=True, random_state=SeedStream(seed, ALL_DIGITS).seed_of("folds") % 2**32)
    fold_of_image = np.empty(len(first), np.int64)
    for fold, (_, validated) in enumerate(splitter.split(first, labels)):
        fold_of_image[validated] = fold
    if reserve:
        state = SeedStream(seed, RESERVE).seed_of("reserve") % 2**32
        rows = np.arange(len(first))
        _, reserved = train_test_split(rows, test_size=reserve, random_state=state, stratify=labels)
        fold_of_image[reserved] = NOT_VALIDATED
    return fold_of_image[group]
