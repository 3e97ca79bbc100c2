"""Runs side by side, and how far each is from the first on the same digits.

All runs predict the same rows out of fold, so two runs are compared row by row: the standard error of a paired
difference is a fraction of that of either score.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tenfold.data.overlap import DataRecord
from tenfold.errors import BadInput
from tenfold.evaluation.cross_validation import OutOfFold
from tenfold.evaluation.judge import Verdict
from tenfold.evaluation.metrics import BlendMetrics, Metrics, load_metrics
from tenfold.report.markdown import flat
from tenfold.settings import to_table
from tenfold.storage.completion import require_finished
from tenfold.storage.run_folder import RunFolder


@dataclass(frozen=True)
class Compared:
    """A finished run or a blend."""

    name: str
    metrics: Metrics
    settings: dict[str, str] | None  # a blend has none of its own
    data: DataRecord
    oof: OutOfFold

    @property
    def wrong(self) -> npt.NDArray[np.bool_]:
        """Whose out-of-fold prediction is wrong, (N,)."""
        return self.oof.probabilities.argmax(1) != self.oof.labels


@dataclass(frozen=True)
class Difference:
    """Out-of-fold errors of one run minus another's on the same rows."""

    errors: int
    errors_se: float  # standard error over rows
    accuracy: float | None  # mean over folds of the difference of accuracies, where both have the same folds
    accuracy_se: float | None  # standard error over folds


def read(path: Path) -> Compared:
    """The folder of a run or a blend. Raises BadInput where it is neither, or not finished."""
    run = RunFolder(path)
    require_finished(path)
    metrics = load_metrics(run)
    settings = None if isinstance(metrics, BlendMetrics) else flat(to_table(run.settings()))
    return Compared(str(path), metrics, settings, DataRecord.load(run), OutOfFold.load(run))


def difference(run: Compared, other: Compared) -> Difference | None:
    """`run` minus `other` on the rows that both validated; None where they were trained on different digits."""
    if run.data.train_sha256 != other.data.train_sha256:
        return None
    _, rows, other_rows = np.intersect1d(run.oof.origin, other.oof.origin, return_indices=True)
    extra_errors = run.wrong[rows].astype(np.int64) - other.wrong[other_rows]
    se = float(extra_errors.std(ddof=1) * np.sqrt(len(extra_errors)))
    fold_of = run.oof.fold[rows]
    if not np.array_equal(fold_of, other.oof.fold[other_rows]):
        return Difference(int(extra_errors.sum()), se, None, None)
    folds = -np.array([extra_errors[fold_of == fold].mean() for fold in np.unique(fold_of)])
    fold_se = float(folds.std(ddof=1) / np.sqrt(len(folds)))
    return Difference(int(extra_errors.sum()), se, float(folds.mean()), fold_se)


def compare(paths: Sequence[Path]) -> tuple[list[str], list[list[str]]]:
    """Runs side by side: a table's header and lines.

    Raises BadInput where there are fewer than two, or one is unfinished.
    """
    if len(paths) < 2:
        raise BadInput("compare: needs two or more runs; name them one after the other")
    runs = [read(path) for path in paths]
    first, *others = runs
    cvs = [run.metrics.cross_validation for run in runs]
    differences = [difference(run, first) for run in others]
    lines = [
        ["honest", *("yes" if run.metrics.honest else "LEAKED" for run in runs)],
        ["cross-validation", *(f"{cv.mean:.5f} ± {cv.std:.5f}" for cv in cvs)],
        ["out-of-fold errors", *(f"{cv.errors:,} of {cv.rows:,}" for cv in cvs)],
        ["log-loss", *(f"{cv.log_loss:.5f}" for cv in cvs)],
        [f"errors minus those of {first.name}", "", *map(_errors, differences)],
        ["accuracy minus its accuracy, over folds", "", *map(_accuracy, differences)],
        ["offline test score", *(_score(run.metrics.judge) for run in runs)],
        ["offline test score, light net", *(_score(run.metrics.judge_light) for run in runs)],
        ["minutes", *(f"{run.metrics.seconds['total'] / 60:.1f}" for run in runs)],
    ]
    return ["", *(run.name for run in runs)], [*lines, *_differing([run.settings for run in runs])]


def _differing(settings: Sequence[dict[str, str] | None]) -> list[list[str]]:
    """One line per setting that is not the same in all runs; a blend's cell is empty."""
    of_runs = [table for table in settings if table is not None]
    keys = dict.fromkeys(key for table in of_runs for key in table)
    return [
        [key, *("" if table is None else table.get(key, "none") for table in settings)]
        for key in keys
        if len({table.get(key, "none") for table in of_runs}) > 1
    ]


def _errors(difference: Difference | None) -> str:
    return "other digits" if difference is None else f"{difference.errors:+,} ± {difference.errors_se:.1f}"


def _accuracy(difference: Difference | None) -> str:
    if difference is None or difference.accuracy is None:
        return "other folds"
    return f"{difference.accuracy:+.5f} ± {difference.accuracy_se:.5f}"


def _score(verdict: Verdict | None) -> str:
    return f"{verdict.accuracy:.5f} ({verdict.errors} errors)" if verdict else "none"
