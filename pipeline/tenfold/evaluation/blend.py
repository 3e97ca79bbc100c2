"""Several runs as one: the mean of their probabilities.

Every run's out-of-fold prediction for a row comes from nets that did not train on it, whatever its folds. So does the
mean: the blend's cross-validation is as honest as the runs'.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from digit_recognizer import submission
from digit_recognizer.damage import DamagedFile
from tenfold.data.overlap import DataRecord
from tenfold.errors import BadInput
from tenfold.evaluation import judge
from tenfold.evaluation.cross_validation import OutOfFold
from tenfold.evaluation.judge import Verdict
from tenfold.evaluation.metrics import BlendedData, BlendMetrics, load_metrics
from tenfold.settings import Data
from tenfold.sources.load import load_sources
from tenfold.storage import atomic
from tenfold.storage.completion import finish, require_finished
from tenfold.storage.npz import npz, read_npz
from tenfold.storage.run_folder import DATA, METRICS, OOF, SUBMISSION, TEST_PROBABILITIES, RunFolder
from tenfold.terminal import note

ARTEFACTS: Final = (OOF, TEST_PROBABILITIES, SUBMISSION, DATA, METRICS)


def blend(runs: Sequence[Path], out: Path) -> BlendMetrics:
    """Average finished runs on the same digits into the folder `out`: a submission, probabilities, metrics.

    The cross-validation is over the folds of the first run. A blend can be blended again. Raises BadInput where a run
    is unfinished or has other digits, or `out` is not empty.
    """
    if len(runs) < 2:
        raise BadInput("blend: needs two or more runs; name them one after the other")
    if len({run.resolve() for run in runs}) < len(runs):
        raise BadInput("blend: a run is named twice; name each once")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise BadInput(f"{out}: not empty; give another --out")
    for run in runs:
        require_finished(run)
    folders = [RunFolder(run) for run in runs]
    metrics = [load_metrics(folder) for folder in folders]
    record = _shared_record(folders)
    oofs = [OutOfFold.load(RunFolder(run)) for run in runs]
    for run, oof in zip(runs, oofs, strict=True):
        if not np.array_equal(oof.fingerprint, oofs[0].fingerprint):
            raise BadInput(f"{run}: its held-out rows differ from {runs[0]}'s; blend runs with the same --cgan.reserve")
    fix = "let that run finish first, with the same `tenfold run`"
    tests = [read_npz(run / TEST_PROBABILITIES, ("probabilities", "origin"), fix) for run in runs]
    test_probs = _mean([test["probabilities"] for test in tests])
    oof = replace(oofs[0], probabilities=_mean([oof.probabilities for oof in oofs]))
    labels = test_probs.argmax(1).astype(np.int64)
    data = metrics[0].data if isinstance(metrics[0], BlendMetrics) else _blended(folders[0].settings().data)
    result = BlendMetrics(
        honest=all(one.honest for one in metrics),
        source=data.source,
        data=data,
        cross_validation=oof.cross_validation(),
        judge=_score(data, record, labels),
        judge_light=None,  # a blend has no models
        seconds={"total": round(sum(one.seconds["total"] for one in metrics), 1)},
        blend={str(run): one.cross_validation.mean for run, one in zip(runs, metrics, strict=True)},
    )
    oof.save(RunFolder(out))
    atomic.write(out / TEST_PROBABILITIES, npz(probabilities=test_probs, origin=tests[0]["origin"]))
    atomic.write(out / SUBMISSION, submission.render(labels))
    RunFolder(out).write_json(DATA, folders[0].read_json(DATA))
    result.save(RunFolder(out))
    finish(out, ARTEFACTS, {})
    return result


def _shared_record(folders: Sequence[RunFolder]) -> DataRecord:
    """The digits that all runs have in common. Raises BadInput where one has others."""
    first = DataRecord.load(folders[0])
    for folder in folders[1:]:
        if not DataRecord.load(folder).same_digits(first):
            raise BadInput(f"{folder.path}: its digits differ from {folders[0].path}'s; blend runs on the same files")
    return first


def _mean(parts: Sequence[npt.NDArray[np.float32]]) -> npt.NDArray[np.float32]:
    total: npt.NDArray[np.float64] = np.sum(parts, axis=0, dtype=np.float64)
    return (total / len(parts)).astype(np.float32)


def _blended(data: Data) -> BlendedData:
    return BlendedData(data.source, str(data.data), data.overlap)


def _score(data: BlendedData, record: DataRecord, labels: npt.NDArray[np.int64]) -> Verdict | None:
    source = Data(data.source, Path(data.data), data.overlap)
    try:
        test = load_sources(source).test
    except (BadInput, DamagedFile) as reason:
        note(f"no offline test score: {reason}")
        return None
    if test.sha256() != record.test_sha256:
        note(f"no offline test score: {data.data} holds other test digits than the runs had")
        return None
    return judge.verdict(labels, judge.with_labels(test, source))
