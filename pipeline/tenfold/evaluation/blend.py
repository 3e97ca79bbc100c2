"""Several runs as one: the mean of their probabilities.

Every run's out-of-fold answer for a row comes from nets that did not train on it, whatever its folds, so their
mean does too, and the blend's cross-validation is as honest as the runs'.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from digit_recognizer import submission
from digit_recognizer.rows import DamagedFile
from tenfold.errors import BadInput
from tenfold.evaluation import cross_validation, judge
from tenfold.settings import Data
from tenfold.sources.load import load_sources
from tenfold.storage import atomic
from tenfold.storage.npz import npz, read_npz
from tenfold.storage.run_folder import DATA, METRICS, OOF, SCORES, SUBMISSION, TEST_PROBABILITIES, RunFolder

UNFINISHED: Final = "let its run end first, by the same `tenfold run`"


def blend(runs: Sequence[Path], out: Path) -> dict[str, Any]:
    """Average finished runs on the same digits into the folder `out`: a submission, probabilities, metrics.

    Gives the metrics, whose cross-validation is over the folds of the first run. A blend can be blended again.
    Raises BadInput where a run is unfinished or has other digits, or `out` holds something already.
    """
    if len(runs) < 2:
        raise BadInput("blend: takes two or more runs; name them one after the other")
    if len({run.resolve() for run in runs}) < len(runs):
        raise BadInput("blend: a run is named twice; name each once")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise BadInput(f"{out}: is not empty; give another --out")
    folders = [RunFolder(run) for run in runs]
    digits, metrics = [run.read_json(DATA) for run in folders], [run.metrics(SCORES) for run in folders]
    for run, its in zip(runs, digits, strict=True):
        if any(its[name] != digits[0][name] for name in ("train_sha256", "test_sha256")):
            raise BadInput(f"{run}: was run on other digits than {runs[0]}; blend runs on the same files")
    names = ("probabilities", "labels", "fold", "origin", "fingerprint", "reserved")
    oof = [read_npz(run / OOF, names, UNFINISHED) for run in runs]
    for run, its in zip(runs, oof, strict=True):
        if not np.array_equal(its["fingerprint"], oof[0]["fingerprint"]):
            raise BadInput(f"{run}: held out other rows than {runs[0]}; blend runs with the same --cgan.reserve")
    test = [read_npz(run / TEST_PROBABILITIES, ("probabilities", "origin"), UNFINISHED) for run in runs]
    together, out_of_fold = _mean(test), _mean(oof)
    labels = together.argmax(1).astype(np.int64)
    data = _data(folders[0], metrics[0])
    result = {
        "honest": all(its["honest"] for its in metrics),
        "source": data.source,
        "data": {name: str(value) for name, value in asdict(data).items()},
        "cross_validation": asdict(cross_validation.cross_validated(out_of_fold, oof[0]["labels"], oof[0]["fold"])),
        "judge": _judged(data, digits[0]["test_sha256"], labels),
        "judge_light": None,  # a blend has no models
        "seconds": {"total": round(sum(its["seconds"]["total"] for its in metrics), 1)},
        "blend": {str(run): its["cross_validation"]["mean"] for run, its in zip(runs, metrics, strict=True)},
    }
    atomic.write(out / OOF, npz(**(oof[0] | {"probabilities": out_of_fold})))
    atomic.write(out / TEST_PROBABILITIES, npz(**(test[0] | {"probabilities": together})))
    atomic.write(out / SUBMISSION, submission.render(labels))
    RunFolder(out).write_json(DATA, digits[0])
    RunFolder(out).write_json(METRICS, result)
    return result


def _mean(parts: Sequence[Mapping[str, npt.NDArray[Any]]]) -> npt.NDArray[np.float32]:
    total: npt.NDArray[np.float64] = np.sum([part["probabilities"] for part in parts], axis=0, dtype=np.float64)
    return (total / len(parts)).astype(np.float32)


def _data(run: RunFolder, metrics: Mapping[str, Any]) -> Data:
    """Where a run, or a blend, has its digits from."""
    if "blend" not in metrics:
        return run.settings().data
    return Data(metrics["data"]["source"], Path(metrics["data"]["data"]), metrics["data"]["overlap"])


def _judged(data: Data, test_sha256: str, labels: npt.NDArray[np.int64]) -> dict[str, Any] | None:
    try:
        test = load_sources(data).test
    except (BadInput, DamagedFile) as reason:
        print(f"no offline judge: {reason}")
        return None
    if test.sha256() != test_sha256:
        print(f"no offline judge: {data.data} holds other test digits than the runs had")
        return None
    return judge.verdicts(data, test, labels)[0]
