"""Out-of-fold probabilities, their accuracy, and the temperature that calibrates them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from tenfold.data.digits import Digits
from tenfold.data.folds import NOT_VALIDATED
from tenfold.storage import atomic
from tenfold.storage.npz import npz, read_npz
from tenfold.storage.run_folder import OOF, VALIDATION, RunFolder
from tenfold_onnx.contract import MIN_PROBABILITY

MIN_SCORED_PROBABILITY: Final = 1e-12  # keeps the log-loss of a certain error finite
LOG_TEMPERATURES: Final = (np.log(0.1), np.log(10.0))  # beyond these a net is broken rather than miscalibrated


@dataclass(frozen=True)
class CrossValidation:
    """Accuracy on digits that the predicting net did not train on."""

    mean: float  # over folds
    std: float  # over folds, with n - 1
    folds: tuple[float, ...]
    errors: int  # over all rows
    rows: int
    log_loss: float  # nats per row

    def sentence(self) -> str:
        """A one-line summary."""
        return (
            f"cross-validation: {self.mean:.5f} ± {self.std:.5f} (mean ± std over {len(self.folds)} folds; "
            f"{self.errors:,} errors on {self.rows:,} rows)"
        )


@dataclass(frozen=True)
class OutOfFold:
    """oof.npz: a prediction for every row that a fold validates, by nets that did not train on it."""

    probabilities: npt.NDArray[np.float32]  # (N, 10), calibrated
    labels: npt.NDArray[np.int64]  # (N,)
    fold: npt.NDArray[np.int64]  # (N,)
    origin: npt.NDArray[np.void]  # (N,): which source and row
    fingerprint: npt.NDArray[np.uint64]  # (N,)
    reserved: npt.NDArray[np.uint64]  # fingerprints of the rows that no fold validates

    def cross_validation(self) -> CrossValidation:
        """Their score."""
        return cross_validate(self.probabilities, self.labels, self.fold)

    def save(self, run: RunFolder) -> None:
        """Write oof.npz."""
        atomic.write(run.path / OOF, npz(**{name: getattr(self, name) for name in self.__dataclass_fields__}))

    @classmethod
    def load(cls, run: RunFolder) -> OutOfFold:
        """Read oof.npz. Raises BadInput where it is missing or damaged."""
        fix = "let the run finish first, with the same `tenfold run`"
        return cls(**read_npz(run.path / OOF, tuple(cls.__dataclass_fields__), fix))


def out_of_fold(
    folder: RunFolder, digits: Digits, fold_of: npt.NDArray[np.int64], nets: int
) -> tuple[OutOfFold, float]:
    """The calibrated out-of-fold predictions of a run's nets, and the temperature that calibrates them.

    A row's prediction is the mean over the nets of its fold. Raises BadInput where a net's is missing or damaged.
    """
    validated = fold_of != NOT_VALIDATED
    reserved = digits.take(~validated).fingerprints()
    digits, fold_of = digits.take(validated), fold_of[validated]
    labels = digits.known_labels()
    total = np.zeros((len(digits), 10), np.float64)
    for fold in range(int(fold_of.max()) + 1):
        for net in range(nets):
            path = folder.net(fold, net) / VALIDATION
            total[fold_of == fold] += read_npz(path, ("validation",), "the same command refits that net")["validation"]
    probs = (total / nets).astype(np.float32)
    temperature = fit_temperature(probs, labels)
    oof = OutOfFold(tempered(probs, temperature), labels, fold_of, digits.origin, digits.fingerprints(), reserved)
    return oof, temperature


def cross_validate(
    probs: npt.NDArray[np.float32], labels: npt.NDArray[np.int64], fold_of: npt.NDArray[np.int64]
) -> CrossValidation:
    """Score out-of-fold probabilities (N, 10) against labels (N,)."""
    right = probs.argmax(1) == labels
    folds = tuple(float(right[fold_of == fold].mean()) for fold in range(int(fold_of.max()) + 1))
    return CrossValidation(
        mean=float(np.mean(folds)),
        std=float(np.std(folds, ddof=1)),
        folds=folds,
        errors=int((~right).sum()),
        rows=len(labels),
        log_loss=_log_loss(probs, labels),
    )


def tempered(probs: npt.NDArray[np.float32], temperature: float) -> npt.NDArray[np.float32]:
    """Probabilities (N, 10) calibrated as the exported models do it: `tenfold_onnx.write.graphs.tempered`."""
    logits = np.log(probs.astype(np.float64).clip(MIN_PROBABILITY)) / temperature
    power = np.exp(logits - logits.max(1, keepdims=True))
    return (power / power.sum(1, keepdims=True)).astype(np.float32)


def fit_temperature(probs: npt.NDArray[np.float32], labels: npt.NDArray[np.int64]) -> float:
    """The temperature at which out-of-fold probabilities (N, 10) have the lowest log-loss on labels (N,), smoothed.

    Smoothed: a label keeps (N + 1) / (N + 2) of its row's target, which is what N successes in N trials support by
    Laplace's rule of succession; the other nine digits share the rest. So over all rows about one error is added to
    those that were made. Many errors outweigh it. With none it is what keeps the temperature from 0, and mean
    confidence from more than (N + 1) / (N + 2). Mixing the probabilities themselves with uniform ones would cap
    confidence too, but not find a temperature: without an error the loss still falls towards 0, where every
    prediction claims the same.
    """
    logits = np.log(probs.astype(np.float64).clip(MIN_PROBABILITY))
    rows, classes = probs.shape
    added = 1 / (rows + 2)
    target = np.full(probs.shape, added / (classes - 1))
    target[np.arange(rows), labels] = 1 - added

    def loss(log_temperature: float) -> float:
        return float(-(target * log_softmax(logits / np.exp(log_temperature), axis=1)).sum(1).mean())

    return float(np.exp(minimize_scalar(loss, bounds=LOG_TEMPERATURES, method="bounded").x))


def _log_loss(probs: npt.NDArray[np.float32], labels: npt.NDArray[np.int64]) -> float:
    chosen = probs[np.arange(len(labels)), labels].astype(np.float64)
    return float(-np.log(chosen.clip(MIN_SCORED_PROBABILITY)).mean())
