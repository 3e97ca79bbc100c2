"""Error rates on a logarithmic axis that people can read, with a place for no error at all."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import unescape

import numpy as np
import pytest

from tenfold.report import figures
from tenfold.storage.epoch_log import ClassifierEpoch


def classifier_epochs(*rates: Sequence[float]) -> list[ClassifierEpoch]:
    """Epochs of one net per sequence of validation error rates."""
    return [
        ClassifierEpoch(task=f"fold-{n}-net-0", epoch=epoch, epochs=len(curve), loss=1.0, validation_accuracy=1 - rate)
        for n, curve in enumerate(rates)
        for epoch, rate in enumerate(curve, 1)
    ]


def ticks(svg: str) -> dict[str, float]:
    """The labels of the vertical axis, with their heights above the figure's lower edge."""
    found = re.findall(r'<text [^>]*?y="([\d.]+)"[^>]*>([\d.]+ %)</text>', svg)
    return {unescape(label): -float(y) for y, label in found}


def test_error_rates_are_logarithmic_with_plain_labels() -> None:
    shown = ticks(str(figures.validation_errors(classifier_epochs([0.6, 0.05, 0.004], [0.3, 0.02, 0.0007]))))
    assert {"0.1 %", "1 %", "10 %"} <= set(shown) and "0 %" not in shown
    steps = np.diff([shown[label] for label in ("0.1 %", "1 %", "10 %")])
    assert steps[0] == pytest.approx(steps[1], rel=1e-3) and steps[0] > 0


def test_rates_without_a_decade_between_get_two_labels() -> None:
    for rates in ([0.03, 0.031], [0.012], [0.1, 0.4], [1.0, 0.9]):
        assert len(ticks(str(figures.validation_errors(classifier_epochs(rates))))) >= 2


def test_no_error_is_drawn_at_zero_below_the_smallest_rate() -> None:
    shown = ticks(str(figures.validation_errors(classifier_epochs([0.3, 0.01, 0.0], [0.2, 0.002, 0.001]))))
    heights = [shown[label] for label in ("0 %", "0.1 %", "1 %", "10 %")]
    assert heights == sorted(heights) and len(set(heights)) == 4
    assert figures.validation_errors(classifier_epochs([0.0, 0.0])) is None
