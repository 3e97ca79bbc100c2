"""Scores of out-of-fold predictions, and the temperature that calibrates them and changes no label."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from conftest import few_digits

from tenfold.data.folds import NOT_VALIDATED
from tenfold.errors import BadInput
from tenfold.evaluation.cross_validation import (
    OutOfFold,
    cross_validate,
    fit_temperature,
    out_of_fold,
    tempered,
)
from tenfold.storage import atomic
from tenfold.storage.npz import npz
from tenfold.storage.run_folder import VALIDATION, RunFolder

Probabilities = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]


def miscalibrated(temperature: float, n: int = 20_000) -> tuple[Probabilities, Labels]:
    """Probabilities that this temperature calibrates, and labels drawn from the calibrated ones."""
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (n, 10))
    calibrated = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    labels = (calibrated.cumsum(1) > rng.random((n, 1))).argmax(1)
    power = np.exp(logits * temperature)
    return (power / power.sum(1, keepdims=True)).astype(np.float32), labels


@pytest.mark.parametrize("temperature", [0.4, 1.0, 2.5])
def test_the_temperature_that_calibrates_is_found(temperature: float) -> None:
    assert fit_temperature(*miscalibrated(temperature)) == pytest.approx(temperature, rel=0.03)


@pytest.mark.parametrize("temperature", [0.6, 1.0, 2.0])
def test_tempering_keeps_labels_and_sums_and_is_invertible(temperature: float) -> None:
    probs, _ = miscalibrated(1.0, 500)
    changed = tempered(probs, temperature)
    assert (changed.argmax(1) == probs.argmax(1)).all()
    assert changed.sum(1) == pytest.approx(np.ones(500), abs=1e-5)
    assert tempered(changed, 1 / temperature) == pytest.approx(probs, abs=1e-4)


def test_tempering_keeps_certain_predictions() -> None:
    certain = np.eye(10, dtype=np.float32)
    assert tempered(certain, 0.6) == pytest.approx(certain, abs=1e-6)


def confidence(probs: Probabilities) -> float:
    return float(probs.max(1).astype(np.float64).mean())


def temperature_of_lowest_loss(probs: Probabilities, labels: Labels) -> float:
    """Plain maximum likelihood, by trying many temperatures."""
    tried = np.geomspace(0.2, 5, 400)
    own = [np.log(tempered(probs, t)[np.arange(len(labels)), labels].astype(np.float64)).mean() for t in tried]
    return float(tried[np.argmax(own)])


@pytest.mark.parametrize("n", [20, 300, 5000])
@pytest.mark.parametrize("sharpness", [0.5, 1.0, 4.0])
def test_without_an_error_it_claims_what_n_rows_support(n: int, sharpness: float) -> None:
    probs = tempered(miscalibrated(1.0, n)[0], 1 / sharpness)
    calibrated = tempered(probs, fit_temperature(probs, probs.argmax(1)))
    assert confidence(calibrated) <= (n + 1) / (n + 2)
    assert (calibrated.argmax(1) == probs.argmax(1)).all()


def test_alike_rows_without_an_error_are_tempered_exactly() -> None:
    labels = np.arange(100) % 10
    for sure in (0.5, 0.9, 0.9999):
        probs = np.full((100, 10), (1 - sure) / 9, np.float32)
        probs[np.arange(100), labels] = sure
        calibrated = tempered(probs, fit_temperature(probs, labels))
        assert calibrated.max(1) == pytest.approx(np.full(100, 101 / 102), abs=1e-4)


def test_certain_predictions_without_an_error_are_softened() -> None:
    labels = np.arange(1000) % 10
    certain = np.eye(10, dtype=np.float32)[labels]
    temperature = fit_temperature(certain, labels)
    assert temperature > 1 and confidence(tempered(certain, temperature)) == pytest.approx(1001 / 1002, abs=1e-4)


def test_without_an_error_it_is_still_sharper_than_smoothed_nets() -> None:
    probs = tempered(miscalibrated(1.0, 5000)[0], 2.0)  # as label smoothing leaves them
    sure = probs[probs.max(1) > 0.6]
    temperature = fit_temperature(sure, sure.argmax(1))
    assert temperature < 1 and confidence(sure) < confidence(tempered(sure, temperature)) < 1


@pytest.mark.parametrize("errors", [30, 300])
def test_many_errors_outweigh_the_added_one(errors: int) -> None:
    probs, labels = miscalibrated(0.7, 60_000)
    wrong = probs.argmax(1) != labels
    right = np.flatnonzero(~wrong & (probs.max(1) > 0.9))[:4000]
    rows = np.concatenate([right, np.flatnonzero(wrong & (probs.max(1) > 0.5))[:errors]])
    plain = temperature_of_lowest_loss(probs[rows], labels[rows])
    noise = plain / np.sqrt(errors)  # roughly one standard error: the errors are what decides it
    assert plain <= fit_temperature(probs[rows], labels[rows]) < plain + noise


def test_each_further_error_raises_the_temperature() -> None:
    probs = tempered(miscalibrated(1.0, 2000)[0], 0.5)
    labels = probs.argmax(1)
    order = np.argsort(-probs.max(1))
    fitted = []
    for errors in (0, 1, 5, 25, 125):
        made = labels.copy()
        made[order[:errors]] = (made[order[:errors]] + 1) % 10
        fitted.append(fit_temperature(probs, made))
    assert fitted == sorted(fitted) and len(set(fitted)) == 5


def test_scores_are_counted_per_fold_and_over_all_rows() -> None:
    labels = np.array([0, 1, 2, 3, 4, 5])
    probs = np.full((6, 10), 0.05, np.float32)
    probs[np.arange(6), [0, 1, 2, 3, 4, 6]] = 0.55  # one error, in the second fold
    scores = cross_validate(probs, labels, np.array([0, 0, 0, 0, 1, 1]))
    assert (scores.folds, scores.errors, scores.rows) == ((1.0, 0.5), 1, 6)
    assert (scores.mean, scores.std) == pytest.approx((0.75, 0.5 / np.sqrt(2)))
    assert scores.log_loss == pytest.approx(-(5 * np.log(0.55) + np.log(0.05)) / 6)
    assert scores.sentence().startswith("cross-validation: 0.75000 ± 0.35355 (mean ± std over 2 folds; 1 errors on 6")


def predictions(seed: int, n: int) -> Probabilities:
    weights = np.random.default_rng(seed).random((n, 10))
    return (weights / weights.sum(1, keepdims=True)).astype(np.float32)


def test_out_of_fold_averages_the_nets_of_a_rows_fold(tmp_path: Path) -> None:
    run, digits, fold_of = RunFolder(tmp_path), few_digits(12), np.arange(12) % 3 - 1
    for fold in range(2):
        for net in range(2):
            atomic.write(run.net(fold, net) / VALIDATION, npz(validation=predictions(10 * fold + net, 4)))
    oof, temperature = out_of_fold(run, digits, fold_of, nets=2)
    validated = digits.take(fold_of != NOT_VALIDATED)
    assert (oof.labels == validated.known_labels()).all() and (oof.origin == validated.origin).all()
    assert set(oof.reserved) == set(digits.take(fold_of == NOT_VALIDATED).fingerprints())
    for fold in range(2):
        mean = (predictions(10 * fold, 4) + predictions(10 * fold + 1, 4)) / 2
        assert oof.probabilities[oof.fold == fold] == pytest.approx(tempered(mean, temperature), abs=1e-6)
    oof.save(run)
    loaded = OutOfFold.load(run)
    assert all((getattr(loaded, name) == getattr(oof, name)).all() for name in OutOfFold.__dataclass_fields__)


def test_missing_predictions_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"fold-0-net-0/answers\.npz: can't be read"):
        out_of_fold(RunFolder(tmp_path), few_digits(12), np.arange(12) % 2, nets=1)
    with pytest.raises(BadInput, match=r"oof\.npz: can't be read"):
        OutOfFold.load(RunFolder(tmp_path))
