"""Checks of what a model returns: a wrong or damaged model becomes one sentence, not nonsense."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from tenfold_onnx.contract import CLASSES, BadInput, TensorType, Verdict

SUM_TOLERANCE: Final = 1e-3  # of probabilities, which a model may compute in float16
FIX: Final = "the model is wrong or damaged; export it again, or give another one"


def check_type(path: Path | str, name: str, value: Any, wanted: TensorType, rows: int) -> None:
    """Compare an output's dtype and shape with what is wanted, for inputs of `rows` rows. Raises BadInput."""
    if isinstance(value, np.ndarray) and value.dtype == wanted.dtype and value.ndim == len(wanted.shape):
        sizes = zip(value.shape, (rows, *wanted.shape[1:]), strict=True)
        if all(size == other or isinstance(other, str) for size, other in sizes):
            return
    got = f"{value.dtype} {value.shape}" if isinstance(value, np.ndarray) else type(value).__name__
    raise BadInput(f"{path}: its output {name} must be {wanted}, got {got} for {rows} rows; {FIX}")


def check_prediction(path: Path | str, probabilities: npt.NDArray[np.float32], label: npt.NDArray[np.int64]) -> None:
    """Probabilities (N, 10) must be in [0, 1] and sum to 1, labels (N,) the most likely digits. Raises BadInput."""
    if not ((probabilities >= 0) & (probabilities <= 1 + SUM_TOLERANCE)).all():  # false for NaN
        raise BadInput(f"{path}: returns probabilities that are no numbers from 0 to 1; {FIX}")
    if (np.abs(probabilities.sum(1) - 1) > SUM_TOLERANCE).any():
        raise BadInput(f"{path}: returns probabilities that do not sum to 1; {FIX}")
    if ((label < 0) | (label >= CLASSES)).any():
        raise BadInput(f"{path}: returns labels that are not 0..9; {FIX}")
    of_label = np.take_along_axis(probabilities, label[:, None], 1)[:, 0]
    if (of_label < probabilities.max(1) - SUM_TOLERANCE).any():
        raise BadInput(f"{path}: returns labels that are not the most likely digits; {FIX}")


def check_ink(path: Path | str, ink: npt.NDArray[np.float32]) -> None:
    """Ink (N,) must be a share. Raises BadInput."""
    if not ((ink >= 0) & (ink <= 1)).all():
        raise BadInput(f"{path}: returns ink that is no share from 0 to 1; {FIX}")


def check_verdict(path: Path | str, verdict: npt.NDArray[np.int32], read: npt.NDArray[np.bool_]) -> None:
    """Verdicts (N,) must be `contract.Verdict`'s, and DIGIT where a digit is read. Raises BadInput."""
    if not np.isin(verdict, list(Verdict)).all() or ((verdict == Verdict.DIGIT) != read).any():
        raise BadInput(f"{path}: returns verdicts that do not fit its labels; {FIX}")


def check_activations(path: Path | str, activations: Sequence[npt.NDArray[np.float32]]) -> None:
    """Activations must be finite. Raises BadInput."""
    if not all(np.isfinite(activation).all() for activation in activations):
        raise BadInput(f"{path}: returns activations that are no finite numbers; {FIX}")
