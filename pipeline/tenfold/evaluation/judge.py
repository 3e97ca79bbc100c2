"""The offline test score: a submission scored on all test rows, without uploading it. It is never used to choose.

MNIST has the label of every test image, found by the image's bytes. A published submission with leaderboard score
0.99192 gets 0.99196. Nothing that trains can import this.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import sqrt
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.stats import binomtest, norm

from tenfold.data.digits import Digits
from tenfold.errors import BadInput
from tenfold.settings import Data
from tenfold.sources.load import reference_digits
from tenfold.terminal import note

LEADERBOARD_ROWS: Final = 7000  # every published score checked is a multiple of 1/7000
Z95: Final = float(norm.ppf(0.975))


@dataclass(frozen=True)
class Verdict:
    """A submission's score on every test row."""

    rows: int
    errors: int
    accuracy: float
    low: float  # Wilson's 95 % interval for the accuracy on further digits of the same kind
    high: float
    leaderboard_margin: float  # 95 %: how far a leaderboard on 7,000 of these rows may be from the accuracy

    def sentence(self) -> str:
        """A one-line summary."""
        line = (
            f"offline test score: {self.accuracy:.5f} on {self.rows:,} test rows ({self.errors:,} errors), "
            f"95 % interval {self.low:.5f} to {self.high:.5f}"
        )
        if self.rows <= LEADERBOARD_ROWS:
            return line
        margin = f"{self.accuracy:.5f} ± {self.leaderboard_margin:.5f}"
        return f"{line}; a leaderboard on {LEADERBOARD_ROWS:,} rows would show {margin}"


def with_labels(test: Digits, data: Data) -> Digits:
    """The test digits with their labels, for scores only; without, and a printed reason, if they are unknown."""
    try:
        return replace(test, labels=look_up_labels(test, reference_digits(data)))
    except BadInput as reason:
        note(f"no offline test score: {reason}")
        return test


def verdict(predicted: npt.NDArray[np.int64], test: Digits) -> Verdict | None:
    """The score of predicted labels (N,); None where the test digits have no labels."""
    return None if test.labels is None else score(predicted, test.labels)


def look_up_labels(test: Digits, reference: Digits) -> npt.NDArray[np.int64]:
    """The label of each test image, int64 (N,), found in `reference` by the image's bytes.

    Raises BadInput where an image is not found, since a score on part of the rows would mislead.
    """
    keys, first = np.unique(reference.keys(), return_index=True)
    wanted = test.keys()
    index = np.searchsorted(keys, wanted).clip(max=len(keys) - 1)
    known = keys[index] == wanted
    if not known.all():
        raise BadInput(
            f"test images: {int((~known).sum()):,} of {len(test):,} are not among the {len(reference):,} labelled "
            "ones; use the competition's own test.csv"
        )
    return reference.known_labels()[first[index]]


def score(predicted: npt.NDArray[np.int64], labels: npt.NDArray[np.int64]) -> Verdict:
    """Score predicted labels (N,) against the true ones (N,). Raises BadInput where the counts differ."""
    if len(predicted) != len(labels):
        raise BadInput(
            f"offline test score: the submission has {len(predicted):,} rows and the test set {len(labels):,}; "
            "give another file, or the --source that it was made for"
        )
    n, errors = len(labels), int((predicted != labels).sum())
    accuracy = 1 - errors / n
    interval = binomtest(n - errors, n).proportion_ci(0.95, method="wilson")
    rows = min(LEADERBOARD_ROWS, n)
    # The leaderboard's rows are drawn from these without replacement, hence the finite-population factor.
    margin = Z95 * sqrt(accuracy * (1 - accuracy) / rows * (n - rows) / max(n - 1, 1))
    return Verdict(n, errors, accuracy, float(interval.low), float(interval.high), margin)
