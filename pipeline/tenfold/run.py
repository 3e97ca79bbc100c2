"""The way of the data, top to bottom: from files to a submission, two models and a score."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from digit_recognizer import submission
from tenfold import artefacts, atomic, compute, ensemble, folds, judge, overlap, pool, record, sources
from tenfold.digits import Digits
from tenfold.errors import BadInput, RunFailed
from tenfold.member import (
    FoldTask,
    ShippedGeneratorTask,
    cut_log,
    fit_member,
    fit_shipped_generator,
)
from tenfold.overlap import Overlap
from tenfold.progress import Progress
from tenfold.record import RunFolder
from tenfold.settings import Settings
from tenfold.sources import Sources
from tenfold_onnx import Classifier
from tenfold_onnx.write.parity import PROBABILITY_TOLERANCE

SUBMISSION: Final = "submission.csv"
ARTEFACTS: Final = (
    "oof.npz",
    "test_probabilities.npz",
    SUBMISSION,
    artefacts.CLASSIFIER_ONNX,
    artefacts.GENERATOR_ONNX,
    record.DATA,
    record.METRICS,
)


def settled(settings: Settings) -> tuple[Settings, str]:
    """Settings with every "auto" replaced by what is there, and a line on the source. Raises BadInput."""
    data, line = sources.settled(settings.data)
    return replace(settings, data=data, compute=compute.settled(settings.compute, settings.folds + 1)), line


def run(settings: Settings, path: Path, fresh: bool = False) -> dict[str, Any]:
    """Carry out settled settings in the folder `path`, or continue there; give the metrics.

    Raises BadInput for what can't work and RunFailed for what went wrong; either way the same call continues.
    """
    started = time.monotonic()
    found = sources.load(settings.data)  # before anything is written
    with record.opened(path, settings, fresh) as folder:
        if _complete(folder, settings):
            print(f"{path} is complete already; --fresh runs it anew")
            return _told(folder, folder.read_json(record.METRICS))
        digits, overlapping = _guarded(folder, found, settings)
        test = found.test
        del found  # Kaggle's rows and MNIST's again, 110 MB
        fold_of = folds.stratified(digits, settings.folds, settings.seed)
        _fit(folder, settings, digits, test, fold_of)
        answers = ensemble.gathered(folder, fold_of, len(test))
        oof = record.npz(probabilities=answers.oof, labels=digits.known_labels(), fold=fold_of, origin=digits.origin)
        atomic.write(path / "oof.npz", oof)
        artefacts.export(folder)
        labels = _submit(folder, answers.test, test)
        metrics = {
            "honest": overlapping.honest,
            "source": settings.data.source,
            "cross_validation": asdict(ensemble.stored_cross_validation(folder)),
            "judge": _judged(settings, test, labels),
            "overlap": asdict(overlapping),
            "seconds": _seconds(folder) | {"this_start": round(time.monotonic() - started, 1)},
        }
        folder.write_json(record.METRICS, metrics)
        record.finish(path, ARTEFACTS, {})
        return _told(folder, metrics)


def _complete(folder: RunFolder, settings: Settings) -> bool:
    """Whether nothing is left to do, every file of every task being as it was when the task was done."""
    tasks = [folder.generator, *(folder.fold(fold) for fold in range(settings.folds))]
    return all(record.finished(path) is not None for path in (folder.path, *tasks))


def _guarded(folder: RunFolder, found: Sources, settings: Settings) -> tuple[Digits, Overlap]:
    """What is trained on and what the guard did: said, stored, and the same as at an earlier start.

    Raises BadInput where an earlier start had other digits.
    """
    digits, overlapping = overlap.guard(found.train, found.extra, found.test, settings.data.overlap)
    for line in (*found.notes, overlapping.sentence()):
        print(line)
    noted = {
        "train_rows": len(digits),
        "test_rows": len(found.test),
        "train_sha256": digits.sha256(),
        "test_sha256": found.test.sha256(),
        "overlap": asdict(overlapping),
    }
    if (folder.path / record.DATA).exists():
        before = folder.read_json(record.DATA)
        if (before["train_sha256"], before["test_sha256"]) != (noted["train_sha256"], noted["test_sha256"]):
            raise BadInput(
                f"{folder.path}: was started on other digits ({before['train_rows']:,} to train, "
                f"{before['test_rows']:,} to test); bring those back, give another --out, or use --fresh"
            )
    folder.write_json(record.DATA, noted)
    return digits, overlapping


def _fit(folder: RunFolder, settings: Settings, digits: Digits, test: Digits, fold_of: npt.NDArray[np.int64]) -> None:
    """Fit whatever an earlier start has not finished: every fold, and the generator that ships."""
    unfinished = [fold for fold in range(settings.folds) if record.finished(folder.fold(fold)) is None]
    ship = record.finished(folder.generator) is None
    for path in [folder.fold(fold) for fold in unfinished] + [folder.generator] * ship:
        cut_log(folder, path)

    def tasks() -> Iterator[pool.Task]:
        for fold in unfinished:
            train, validation = digits.take(fold_of != fold), digits.take(fold_of == fold)
            task = FoldTask(fold, settings, train, validation, test.images, folder)
            yield pool.Task(folder.fold(fold).name, fit_member, task)
        if ship:
            yield pool.Task(
                folder.generator.name, fit_shipped_generator, ShippedGeneratorTask(settings, digits, folder)
            )

    fold_epochs = settings.fit.epochs + (settings.cgan.epochs if settings.cgan.share > 0 else 0)
    with Progress(settings.folds * fold_epochs + settings.cgan.epochs, len(folder.epochs())) as progress:
        pool.run_all(tasks(), settings.compute.workers, progress.epoch)


def _submit(folder: RunFolder, expected: npt.NDArray[np.float32], test: Digits) -> npt.NDArray[np.int64]:
    """Write the submission: what the exported model says, once it agrees with torch on every test row."""
    said = Classifier(folder.path / artefacts.CLASSIFIER_ONNX).predict(test.images)
    gap = float(np.abs(said.probabilities - expected).max())
    if not gap <= PROBABILITY_TOLERANCE:
        raise RunFailed(
            f"{artefacts.CLASSIFIER_ONNX}: differs from torch by {gap:.2g} on the test rows; no submission was written"
        )
    probabilities = record.npz(probabilities=said.probabilities, origin=test.origin)
    atomic.write(folder.path / "test_probabilities.npz", probabilities)
    atomic.write(folder.path / SUBMISSION, submission.render(said.label))
    return said.label


def _judged(settings: Settings, test: Digits, labels: npt.NDArray[np.int64]) -> dict[str, Any] | None:
    try:
        key = judge.answer_key(test, sources.reference(settings.data))
    except BadInput as reason:
        print(f"no offline judge: {reason}")
        return None
    return asdict(judge.judged(labels, key))


def _seconds(folder: RunFolder) -> dict[str, float]:
    """Seconds of fitting by stage, summed over all tasks."""
    total: dict[str, float] = {}
    for line in folder.epochs():
        total[line["stage"]] = round(total.get(line["stage"], 0.0) + line["seconds"], 1)
    return total


def _told(folder: RunFolder, metrics: dict[str, Any]) -> dict[str, Any]:
    """Say how it came out."""
    cv = ensemble.CrossValidation(**metrics["cross_validation"])
    print(cv.sentence())
    if metrics["judge"]:
        print(judge.Verdict(**metrics["judge"]).sentence())
    if not metrics["honest"]:
        print("LEAKED: this run was allowed to train on test images; none of its scores counts")
    print(f"written in {folder.path}: {SUBMISSION}, {artefacts.CLASSIFIER_ONNX}, {artefacts.GENERATOR_ONNX}")
    return metrics
