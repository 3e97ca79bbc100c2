"""Scores a submission offline. Reports, and never chooses: nothing that trains imports this.

MNIST carries the label of every test image, so a submission can be judged on all 28,000 rows by looking
each image up by its bytes. A published submission with leaderboard score 0.99192 comes out at 0.99196.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import sqrt
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from tenfold.data.digits import Digits
from tenfold.errors import BadInput
from tenfold.settings import Data
from tenfold.sources.load import reference_digits

LEADERBOARD_ROWS: Final = 7000  # every published score checked is a multiple of 1/7000
Z95: Final = 1.959964  # two-sided 95 % of the standard normal


@dataclass(frozen=True)
class Verdict:
    """A submission's score on every test row."""

    rows: int
    errors: int
    accuracy: float
    low: float  # 95 % interval for the accuracy on further digits of the same kind (Wilson, JASA 22, 1927)
    high: float
    leaderboard_margin: float  # 95 %: how far a leaderboard on 7,000 of these rows may be off the accuracy

    def sentence(self) -> str:
        """One line for people."""
        line = (
            f"judge: {self.accuracy:.5f} on {self.rows:,} test rows ({self.errors:,} errors), "
            f"95 % interval {self.low:.5f} to {self.high:.5f}"
        )
        if self.rows <= LEADERBOARD_ROWS:
            return line
        margin = f"{self.accuracy:.5f} ± {self.leaderboard_margin:.5f}"
        return f"{line}; a leaderboard on {LEADERBOARD_ROWS:,} rows would show {margin}"


def verdicts(data: Data, test: Digits, *answers: npt.NDArray[np.int64]) -> list[dict[str, Any] | None]:
    """A Verdict as plain values for each of `answers` (N,); None, and a printed reason, where there is no key."""
    try:
        key = answer_key(test, reference_digits(data))
    except BadInput as reason:
        print(f"no offline judge: {reason}")
        return [None] * len(answers)
    return [asdict(judged(labels, key)) for labels in answers]


def answer_key(test: Digits, reference: Digits) -> npt.NDArray[np.int64]:
    """The label of each test image, int64 (N,), looked up in `reference` by the image's bytes.

    Raises BadInput where an image is not found, since a score on part of the rows would mislead.
    """
    keys, first = np.unique(reference.keys(), return_index=True)
    wanted = test.keys()
    place = np.searchsorted(keys, wanted).clip(max=len(keys) - 1)
    known = keys[place] == wanted
    if not known.all():
        raise BadInput(
            f"judge: {int((~known).sum()):,} of {len(test):,} test images are not among the {len(reference):,} "
            "labelled ones, so there is no complete answer key; judge the competition's own test.csv"
        )
    return reference.known_labels()[first[place]]


def judged(labels: npt.NDArray[np.int64], key: npt.NDArray[np.int64]) -> Verdict:
    """Score labels (N,) against the answer key (N,). Raises BadInput where the counts differ."""
    if len(labels) != len(key):
        raise BadInput(
            f"judge: the submission has {len(labels):,} rows and the test set {len(key):,}; give the right file"
        )
    n, errors = len(key), int((labels != key).sum())
    p = 1 - errors / n
    middle = (p + Z95**2 / (2 * n)) / (1 + Z95**2 / n)
    half = Z95 / (1 + Z95**2 / n) * sqrt(p * (1 - p) / n + Z95**2 / (4 * n**2))
    rows = min(LEADERBOARD_ROWS, n)
    # Drawn without replacement from these very rows, hence the finite-population factor.
    margin = Z95 * sqrt(p * (1 - p) / rows * (n - rows) / max(n - 1, 1))
    return Verdict(n, errors, p, middle - half, middle + half, margin)
