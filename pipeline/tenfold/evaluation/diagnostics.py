"""What a run's out-of-fold answers tell: numbers alone, from probabilities (N, 10) and labels (N,)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

CLASSES: Final = 10
HARDEST_SHOWN: Final = 30  # digits in the report
LABEL_ERRORS_SHOWN: Final = 30

Probabilities = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]


@dataclass(frozen=True)
class PerDigit:
    """How one digit is read."""

    digit: int
    rows: int  # that carry it as their label
    precision: float  # of the rows called so, the share that are; NaN where none was called so
    recall: float  # of the rows that are, the share called so; NaN where there are none
    mistaken_for: int | None  # what its rows are most often taken for instead
    mistakes: int  # how often


@dataclass(frozen=True)
class Bin:
    """Answers that were about equally sure."""

    confidence: float  # mean of their greatest probability
    accuracy: float
    rows: int


def confusion(probabilities: Probabilities, labels: Labels) -> npt.NDArray[np.int64]:
    """How many rows of each label (first axis) were called what (second axis), (10, 10)."""
    counts = np.zeros((CLASSES, CLASSES), np.int64)
    np.add.at(counts, (labels, probabilities.argmax(1)), 1)
    return counts


def per_digit(counts: npt.NDArray[np.int64]) -> list[PerDigit]:
    """Precision and recall of every digit, from its confusion counts (10, 10)."""
    found = []
    for digit in range(CLASSES):
        right, rows, called = int(counts[digit, digit]), int(counts[digit].sum()), int(counts[:, digit].sum())
        others = counts[digit].copy()
        others[digit] = 0
        found.append(
            PerDigit(
                digit,
                rows,
                precision=right / called if called else float("nan"),
                recall=right / rows if rows else float("nan"),
                mistaken_for=int(others.argmax()) if others.any() else None,
                mistakes=int(others.max()),
            )
        )
    return found


def reliability(probabilities: Probabilities, labels: Labels, bins: int = 10) -> list[Bin]:
    """Sureness against accuracy, in bins of equal width over the greatest probability; empty ones are left out."""
    sure = probabilities.max(1).astype(np.float64)
    right = probabilities.argmax(1) == labels
    place = np.minimum((sure * bins).astype(np.int64), bins - 1)
    return [
        Bin(float(sure[place == n].mean()), float(right[place == n].mean()), int((place == n).sum()))
        for n in np.unique(place)
    ]


def calibration_error(bins: list[Bin]) -> float:
    """Mean distance of sureness and accuracy over rows, 0 to 1: the expected calibration error.

    C. Guo et al., "On Calibration of Modern Neural Networks", ICML 2017.
    """
    rows = sum(entry.rows for entry in bins)
    return sum(abs(entry.confidence - entry.accuracy) * entry.rows for entry in bins) / rows


def likely_label_errors(probabilities: Probabilities, labels: Labels) -> npt.NDArray[np.int64]:
    """Rows whose label is more likely wrong than the answer, the surest first.

    Confident learning (C. Northcutt et al., JAIR 70, 2021): a row counts where the answer is another digit, and
    is at least as sure as answers for that digit are on the average of the rows that carry it.
    """
    said = probabilities.argmax(1)
    usual = np.array(
        [probabilities[labels == digit, digit].mean() if (labels == digit).any() else 1.0 for digit in range(CLASSES)]
    )
    rows = np.flatnonzero((said != labels) & (probabilities.max(1) >= usual[said]))
    return rows[np.argsort(probabilities[rows, labels[rows]], kind="stable")]


def hardest(probabilities: Probabilities, labels: Labels, but: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Rows by the probability of their label, the least first, leaving out the rows `but`."""
    order = np.argsort(probabilities[np.arange(len(labels)), labels], kind="stable")
    return order[~np.isin(order, but)]
