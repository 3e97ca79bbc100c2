"""Diagnostics of out-of-fold predictions, from probabilities (N, 10) and labels (N,)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

CLASSES: Final = 10

Probabilities = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]


@dataclass(frozen=True)
class PerDigit:
    """How one digit is read."""

    digit: int
    rows: int  # with this label
    precision: float  # share of the rows predicted as this digit that are; NaN if there are none
    recall: float  # share of this digit's rows that are predicted right; NaN if there are none
    mistaken_for: int | None  # the digit that its rows are most often mistaken for
    mistakes: int  # how often


@dataclass(frozen=True)
class Bin:
    """Predictions of about equal confidence."""

    confidence: float  # mean of their highest probability
    accuracy: float
    rows: int


def confusion(probs: Probabilities, labels: Labels) -> npt.NDArray[np.int64]:
    """Counts of rows by label (first axis) and predicted digit (second axis), (10, 10)."""
    counts: npt.NDArray[np.int64] = confusion_matrix(labels, probs.argmax(1), labels=range(CLASSES))
    return counts


def per_digit(probs: Probabilities, labels: Labels) -> list[PerDigit]:
    """Precision, recall and the most frequent mistake for every digit."""
    precision, recall, _, rows = precision_recall_fscore_support(
        labels, probs.argmax(1), labels=range(CLASSES), zero_division=np.nan
    )
    mistakes = confusion(probs, labels)
    np.fill_diagonal(mistakes, 0)
    return [
        PerDigit(
            digit,
            int(rows[digit]),
            float(precision[digit]),
            float(recall[digit]),
            mistaken_for=int(mistakes[digit].argmax()) if mistakes[digit].any() else None,
            mistakes=int(mistakes[digit].max()),
        )
        for digit in range(CLASSES)
    ]


def reliability(probs: Probabilities, labels: Labels, bins: int = 10) -> list[Bin]:
    """Confidence and accuracy in bins of equal width over the highest probability; empty bins are left out."""
    confidence = probs.max(1).astype(np.float64)
    right = probs.argmax(1) == labels
    index = np.minimum((confidence * bins).astype(np.int64), bins - 1)
    return [
        Bin(float(confidence[index == n].mean()), float(right[index == n].mean()), int((index == n).sum()))
        for n in np.unique(index)
    ]


def calibration_error(bins: list[Bin]) -> float:
    """Expected calibration error: mean distance between confidence and accuracy over rows, 0 to 1.

    C. Guo et al., "On Calibration of Modern Neural Networks", ICML 2017.
    """
    rows = sum(entry.rows for entry in bins)
    return sum(abs(entry.confidence - entry.accuracy) * entry.rows for entry in bins) / rows


def expected_errors(probs: Probabilities) -> float:
    """How many of the predictions are wrong if the probabilities are right."""
    return float((1 - probs.max(1).astype(np.float64)).sum())


def likely_label_errors(probs: Probabilities, labels: Labels) -> npt.NDArray[np.int64]:
    """Rows whose label is more likely wrong than the prediction, the most confident prediction first.

    Confident learning (C. Northcutt et al., JAIR 70, 2021): a row counts if another digit is predicted, at least as
    confidently as rows labelled with that digit are predicted on average.
    """
    predicted = probs.argmax(1)
    threshold = np.array(
        [probs[labels == digit, digit].mean() if (labels == digit).any() else 1.0 for digit in range(CLASSES)]
    )
    rows = np.flatnonzero((predicted != labels) & (probs.max(1) >= threshold[predicted]))
    return rows[np.argsort(probs[rows, labels[rows]], kind="stable")]


def hardest(probs: Probabilities, labels: Labels, exclude: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Rows by the probability of their label, lowest first, without the rows `exclude`."""
    order = np.argsort(probs[np.arange(len(labels)), labels], kind="stable")
    return order[~np.isin(order, exclude)]
