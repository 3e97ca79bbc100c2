"""Runs side by side, and how far each is from the first on the same digits.

A run's out-of-fold answers are to the same rows as another's, so the two are compared row by row: the standard
error of a paired difference is a fraction of that of either score.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tenfold.errors import BadInput
from tenfold.evaluation.cross_validation import CrossValidation, cross_validated
from tenfold.report.markdown import flat, markdown
from tenfold.settings import to_table
from tenfold.storage.npz import read_npz
from tenfold.storage.run_folder import DATA, OOF, SCORES, RunFolder


@dataclass(frozen=True)
class Compared:
    """A finished run or a blend, as much of it as a comparison needs."""

    name: str
    metrics: dict[str, Any]
    settings: dict[str, str] | None  # a blend has none of its own
    train_sha256: str
    row: npt.NDArray[np.void]  # (N,): which digit, by where it came from
    fold: npt.NDArray[np.int64]  # (N,)
    wrong: npt.NDArray[np.bool_]  # (N,): whose out-of-fold answer is not the label
    cv: CrossValidation


@dataclass(frozen=True)
class Difference:
    """Out-of-fold errors of one run minus another's on the same rows."""

    errors: int
    errors_se: float  # standard error over rows
    accuracy: float | None  # mean over folds of the difference of accuracies, where both have the same folds
    accuracy_se: float | None  # standard error over folds


def read(path: Path) -> Compared:
    """A run's or a blend's folder. Raises BadInput where it is neither, or not finished."""
    run = RunFolder(path)
    metrics = run.metrics(SCORES)
    settings = None if "blend" in metrics else flat(to_table(run.settings()))
    oof = read_npz(run.path / OOF, ("probabilities", "labels", "fold", "origin"), "let the run end first")
    return Compared(
        str(path),
        metrics,
        settings,
        run.read_json(DATA)["train_sha256"],
        oof["origin"],
        oof["fold"],
        oof["probabilities"].argmax(1) != oof["labels"],
        cross_validated(oof["probabilities"], oof["labels"], oof["fold"]),
    )


def difference(run: Compared, other: Compared) -> Difference | None:
    """`run` minus `other` on the rows that both validated; None where they were trained on different digits."""
    if run.train_sha256 != other.train_sha256:
        return None
    _, mine, its = np.intersect1d(run.row, other.row, return_indices=True)
    rows = run.wrong[mine].astype(np.int64) - other.wrong[its]
    se = float(rows.std(ddof=1) * np.sqrt(len(rows)))
    fold_of = run.fold[mine]
    if not np.array_equal(fold_of, other.fold[its]):
        return Difference(int(rows.sum()), se, None, None)
    folds = -np.array([rows[fold_of == fold].mean() for fold in np.unique(fold_of)])
    return Difference(int(rows.sum()), se, float(folds.mean()), float(folds.std(ddof=1) / np.sqrt(len(folds))))


def compare(paths: Sequence[Path]) -> str:
    """Runs side by side as Markdown. Raises BadInput where there are fewer than two, or one is unfinished."""
    if len(paths) < 2:
        raise BadInput("compare: takes two or more runs; name them one after the other")
    runs = [read(path) for path in paths]
    first = runs[0]
    header = ["", *(run.name for run in runs)]
    lines = [
        ["honest", *("yes" if run.metrics["honest"] else "LEAKED" for run in runs)],
        ["cross-validation", *(f"{run.cv.mean:.5f} ± {run.cv.std:.5f}" for run in runs)],
        ["its errors", *(f"{run.cv.errors:,} of {run.cv.rows:,}" for run in runs)],
        ["its log loss", *(f"{run.cv.log_loss:.5f}" for run in runs)],
        [f"errors against {first.name}", "", *(_errors(difference(run, first)) for run in runs[1:])],
        ["accuracy against it, over folds", "", *(_accuracy(difference(run, first)) for run in runs[1:])],
        ["judge", *(_judge(run.metrics["judge"]) for run in runs)],
        ["judge, light net", *(_judge(run.metrics["judge_light"]) for run in runs)],
        ["minutes", *(f"{run.metrics['seconds']['total'] / 60:.1f}" for run in runs)],
    ]
    return markdown(header, [*lines, *_differing([run.settings for run in runs])])


def _differing(settings: Sequence[dict[str, str] | None]) -> list[list[str]]:
    """A line for each setting that is not the same in all runs; a blend's cell is empty."""
    own = [its for its in settings if its is not None]
    keys = dict.fromkeys(key for its in own for key in its)
    return [
        [key, *("" if its is None else its.get(key, "none") for its in settings)]
        for key in keys
        if len({its.get(key, "none") for its in own}) > 1
    ]


def _errors(found: Difference | None) -> str:
    return "other digits" if found is None else f"{found.errors:+,} ± {found.errors_se:.1f}"


def _accuracy(found: Difference | None) -> str:
    if found is None or found.accuracy is None:
        return "other folds"
    return f"{found.accuracy:+.5f} ± {found.accuracy_se:.5f}"


def _judge(verdict: dict[str, Any] | None) -> str:
    return f"{verdict['accuracy']:.5f} ({verdict['errors']} errors)" if verdict else "none"
