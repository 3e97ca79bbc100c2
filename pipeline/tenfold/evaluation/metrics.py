"""metrics.json: the scores of a finished run, or of a blend of runs."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from tenfold.data.overlap import Overlap
from tenfold.errors import BadInput
from tenfold.evaluation.cross_validation import CrossValidation
from tenfold.evaluation.generator_quality import Quality
from tenfold.evaluation.judge import Verdict
from tenfold.settings import OverlapPolicy, Source
from tenfold.storage.run_folder import METRICS, RunFolder, parse_record
from tenfold.training.schedule import RateCut


@dataclass(frozen=True, kw_only=True)
class Metrics:
    """The scores that runs and blends have in common."""

    source: Source
    honest: bool
    cross_validation: CrossValidation
    judge: Verdict | None  # None if the test labels are unknown
    judge_light: Verdict | None  # of the light net alone
    seconds: dict[str, float]  # by stage, and "total"

    def save(self, folder: RunFolder) -> None:
        """Write metrics.json."""
        folder.write_json(METRICS, asdict(self))

    def sentences(self) -> list[str]:
        """The scores, one line each."""
        lines = [self.cross_validation.sentence()]
        if self.judge:
            lines.append(self.judge.sentence())
        if self.judge_light:
            lines.append(f"light net alone, {self.judge_light.sentence()}")
        if not self.honest:
            lines.append("LEAKED: trained on test images with their labels; none of these scores means anything")
        return lines


@dataclass(frozen=True, kw_only=True)
class RunMetrics(Metrics):
    """The metrics of a run."""

    generator: Quality | None  # None where there are too few test digits to compare with
    temperature: float  # that calibrates the models
    collapsed: tuple[str, ...]  # generators whose digits were left out
    overlap: Overlap
    rate_cuts: dict[str, tuple[RateCut, ...]]  # by training


@dataclass(frozen=True)
class BlendedData:
    """Where the runs of a blend got their digits from."""

    source: Source
    data: str
    overlap: OverlapPolicy


@dataclass(frozen=True, kw_only=True)
class BlendMetrics(Metrics):
    """The metrics of a blend."""

    data: BlendedData
    blend: dict[str, float]  # folder of each run to its cross-validation accuracy


def load_metrics(folder: RunFolder) -> RunMetrics | BlendMetrics:
    """The metrics of a finished run or blend. Raises BadInput where it is not finished, or of another version."""
    table: Any = folder.read_json(METRICS)
    if isinstance(table, dict) and "blend" in table:
        return parse_record(BlendMetrics, table, folder.path / METRICS)
    return parse_record(RunMetrics, table, folder.path / METRICS)


def load_run_metrics(folder: RunFolder) -> RunMetrics:
    """The metrics of a finished run. Raises BadInput, for a blend too."""
    metrics = load_metrics(folder)
    if not isinstance(metrics, RunMetrics):
        raise BadInput(f"{folder.path}: a blend, which has no models or trainings of its own; give the folder of a run")
    return metrics
