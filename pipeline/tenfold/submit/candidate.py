"""The submission file to send, and the scores of the run that wrote it. Imports no torch."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from digit_recognizer import client, competition, submission
from tenfold.errors import BadInput
from tenfold.storage.completion import DONE, require_finished
from tenfold.storage.run_folder import METRICS, SUBMISSION

NOTE_LENGTH: Final = 200  # characters of a description, before the attempt's id


@dataclass(frozen=True)
class Candidate:
    """A valid submission file, and its run's scores."""

    file: Path
    sha256: str
    cv: tuple[float, float] | None  # mean and standard deviation over folds
    judge: float | None  # offline test accuracy
    honest: bool

    def note(self) -> str:
        """The start of the submission's description."""
        parts = [self.file.parent.resolve().name[:100]]
        if self.cv:
            parts.append(f"CV {self.cv[0]:.5f} ± {self.cv[1]:.5f}")
        if not self.honest:
            parts.append("LEAKED")
        return ", ".join(parts)[:NOTE_LENGTH]

    def summary(self) -> list[str]:
        """Lines that a person should see before the file is sent."""
        lines = [f"file: {self.file} ({competition.TEST_ROWS:,} rows)"]
        if self.cv:
            lines.append(f"cross-validation: {self.cv[0]:.5f} ± {self.cv[1]:.5f}")
        if self.judge is not None:
            lines.append(f"offline test score: {self.judge:.5f}")
        if not self.honest:
            lines.append("LEAKED: the run was allowed to train on test images, so its score means nothing")
        return lines


def find_candidate(path: Path | None) -> Candidate:
    """The file at `path`, the submission of the run folder `path`, or that of the newest run under runs/.

    Raises BadInput or DamagedFile where there is none, or where the competition would not accept it.
    """
    file = _newest() if path is None else path / SUBMISSION if path.is_dir() else path
    if file.name == SUBMISSION and (file.parent / DONE).exists():
        require_finished(file.parent, "repeat that run; to submit a file of your own, give it another name")
    rows = len(submission.read(file))
    if rows != competition.TEST_ROWS:
        raise BadInput(
            f"{file}: must have {competition.TEST_ROWS:,} rows, got {rows:,}; "
            "submit a run on Kaggle's files (--source kaggle)"
        )
    metrics = _metrics(file.parent / METRICS) if file.name == SUBMISSION else {}
    mean, std = (_number(metrics, "cross_validation", key) for key in ("mean", "std"))
    return Candidate(
        file=file,
        sha256=client.file_sha256(file),
        cv=None if mean is None or std is None else (mean, std),
        judge=_number(metrics, "judge", "accuracy"),
        honest=metrics.get("honest", True) is True,
    )


def _newest() -> Path:
    finished = [path for path in Path("runs").glob(f"*/{SUBMISSION}") if (path.parent / METRICS).is_file()]
    on_kaggle = [path for path in finished if _metrics(path.parent / METRICS).get("source") == "kaggle"]
    if not on_kaggle:
        raise BadInput("submit: runs/ has no finished run on Kaggle's files; name a run's folder or a file")
    return max(on_kaggle, key=lambda path: path.stat().st_mtime)


def _metrics(path: Path) -> dict[str, Any]:
    """A run's metrics.json; empty where it is missing or damaged, since a submission does not need it."""
    try:
        table = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return table if isinstance(table, dict) else {}


def _number(metrics: dict[str, Any], section: str, key: str) -> float | None:
    table = metrics.get(section)
    value = table.get(key) if isinstance(table, dict) else None
    return float(value) if isinstance(value, (int, float)) else None
