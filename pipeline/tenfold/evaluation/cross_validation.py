"""From the nets' answers to cross-validation: out-of-fold probabilities, and what they are worth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar

from tenfold.storage.npz import read_npz
from tenfold.storage.run_folder import OOF, RunFolder
from tenfold.training.tasks import ANSWERS

FLOOR: Final = 1e-12  # keeps the log loss of a certain error finite
LEAST: Final = 1e-30  # the exported models' own least probability
TEMPERATURES: Final = (np.log(0.1), np.log(10.0))  # beyond these a net is not miscalibrated but broken


@dataclass(frozen=True)
class CrossValidation:
    """Accuracy on digits that the answering member did not train on."""

    mean: float  # over folds
    std: float  # over folds, with n - 1
    folds: tuple[float, ...]
    errors: int  # over all rows
    rows: int
    log_loss: float  # nats a row

    def sentence(self) -> str:
        """One line for people."""
        return (
            f"cross-validation: {self.mean:.5f} ± {self.std:.5f} (mean ± std over {len(self.folds)} folds; "
            f"{self.errors:,} errors on {self.rows:,} rows)"
        )


def out_of_fold(run: RunFolder, fold_of: npt.NDArray[np.int64], nets: int) -> npt.NDArray[np.float32]:
    """Probabilities (N, 10): for each row the mean over the nets of its fold, which did not train on it.

    Raises BadInput where an answer is missing or damaged.
    """
    oof = np.zeros((len(fold_of), 10), np.float64)
    for fold in range(int(fold_of.max()) + 1):
        for net in range(nets):
            path = run.net(fold, net) / ANSWERS
            stored = read_npz(path, ("validation",), "the same command fits that net anew")
            oof[fold_of == fold] += stored["validation"]
    return (oof / nets).astype(np.float32)


def cross_validated(
    oof: npt.NDArray[np.float32], labels: npt.NDArray[np.int64], fold_of: npt.NDArray[np.int64]
) -> CrossValidation:
    """Judge out-of-fold probabilities (N, 10) against labels (N,)."""
    right = oof.argmax(1) == labels
    folds = tuple(float(right[fold_of == fold].mean()) for fold in range(int(fold_of.max()) + 1))
    chosen = oof[np.arange(len(labels)), labels].astype(np.float64)
    return CrossValidation(
        mean=float(np.mean(folds)),
        std=float(np.std(folds, ddof=1)),
        folds=folds,
        errors=int((~right).sum()),
        rows=len(labels),
        log_loss=float(-np.log(chosen.clip(FLOOR)).mean()),
    )


def tempered(probabilities: npt.NDArray[np.float32], temperature: float) -> npt.NDArray[np.float32]:
    """As the exported models calibrate, `tenfold_onnx.write.graphs.tempered`."""
    logits = np.log(probabilities.astype(np.float64).clip(LEAST)) / temperature
    power = np.exp(logits - logits.max(1, keepdims=True))
    return (power / power.sum(1, keepdims=True)).astype(np.float32)


def fitted_temperature(oof: npt.NDArray[np.float32], labels: npt.NDArray[np.int64]) -> float:
    """The temperature at which out-of-fold probabilities (N, 10) have the least log loss on labels (N,).

    1 where no row is answered wrongly: the loss would fall to the last with ever surer answers.
    """
    if (oof.argmax(1) == labels).all():
        return 1.0

    def loss(log_temperature: float) -> float:
        said = tempered(oof, float(np.exp(log_temperature)))[np.arange(len(labels)), labels]
        return float(-np.log(said.astype(np.float64).clip(FLOOR)).mean())

    return float(np.exp(minimize_scalar(loss, bounds=TEMPERATURES, method="bounded").x))


def stored_cross_validation(run: RunFolder) -> CrossValidation:
    """That of a run's oof.npz. Raises BadInput where it is missing or damaged."""
    names = ("probabilities", "labels", "fold")
    parts = read_npz(run.path / OOF, names, "run the same `tenfold run` again")
    return cross_validated(parts["probabilities"], parts["labels"], parts["fold"])
