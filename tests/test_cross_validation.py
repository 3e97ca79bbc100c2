"""Calibration: the temperature that fits, and that moves no label."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tenfold.evaluation.cross_validation import fitted_temperature, tempered
from tenfold_onnx.write import graphs


def drawn(temperature: float, n: int = 20_000) -> tuple[np.ndarray, np.ndarray]:  # type: ignore[type-arg]
    """Probabilities that are off by a temperature, and labels drawn from the true ones."""
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (n, 10))
    true = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    labels = (true.cumsum(1) > rng.random((n, 1))).argmax(1)
    power = np.exp(logits * temperature)
    return (power / power.sum(1, keepdims=True)).astype(np.float32), labels


@pytest.mark.parametrize("temperature", [0.4, 1.0, 2.5])
def test_the_temperature_that_was_off_is_found(temperature: float) -> None:
    said, labels = drawn(temperature)
    assert fitted_temperature(said, labels) == pytest.approx(temperature, rel=0.03)


def test_tempering_moves_no_label_keeps_sums_and_is_undone_by_its_inverse() -> None:
    said, _ = drawn(1.0, 500)
    for temperature in (0.6, 1.0, 2.0):
        changed = tempered(said, temperature)
        assert (changed.argmax(1) == said.argmax(1)).all()
        assert changed.sum(1) == pytest.approx(np.ones(500), abs=1e-5)
        assert tempered(changed, 1 / temperature) == pytest.approx(said, abs=1e-4)


def test_the_record_and_the_model_temper_alike() -> None:
    said, _ = drawn(1.0, 500)
    in_the_model = graphs.tempered(torch.from_numpy(said), 0.6).numpy()
    assert tempered(said, 0.6) == pytest.approx(in_the_model, abs=1e-6)
    certain = np.eye(10, dtype=np.float32)
    assert tempered(certain, 0.6) == pytest.approx(certain, abs=1e-6)


def test_answers_without_an_error_are_left_as_they_are() -> None:
    said, _ = drawn(1.0, n=200)
    right = said.argmax(1)
    assert fitted_temperature(said, right) == 1.0
    assert fitted_temperature(said, np.where(np.arange(200) == 0, (right + 1) % 10, right)) < 1.0
