"""The way of the data, top to bottom: from files to a submission, two models and a score."""

from __future__ import annotations

import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch

from digit_recognizer import submission
from tenfold import artefacts, atomic, compute, ensemble, folds, inherit, judge, overlap, pool, record, sources
from tenfold.digits import Digits
from tenfold.errors import BadInput, RunFailed
from tenfold.folder import DATA, METRICS, OOF, SUBMISSION, TEST_PROBABILITIES, RunFolder
from tenfold.inherit import Parent
from tenfold.overlap import Overlap
from tenfold.plan import Plan
from tenfold.progress import Progress
from tenfold.record import finished
from tenfold.settings import Settings
from tenfold.sources import Sources
from tenfold.tasks import order_rate_cut, rate_cuts
from tenfold_onnx import Classifier
from tenfold_onnx.contract import CLASSIFIER_ONNX, LIGHT_ONNX
from tenfold_onnx.write.graphs import Ensemble
from tenfold_onnx.write.parity import PROBABILITY_TOLERANCE

PARITY_ROWS: Final = 1000  # test rows on which torch is asked too; the parity checks of the export come before
ARTEFACTS: Final = (
    OOF,
    TEST_PROBABILITIES,
    SUBMISSION,
    *artefacts.MODELS,
    DATA,
    METRICS,
)


def settled(settings: Settings) -> tuple[Settings, str]:
    """Settings with every "auto" replaced by what is there, and a line on the source. Raises BadInput."""
    data, line = sources.settled(settings.data)
    parallel = compute.settled(settings.compute, settings.folds * settings.nets + 1)
    init = settings.init.resolve() if settings.init else None
    return replace(settings, data=data, compute=parallel, init=init), line


def run(settings: Settings, path: Path, fresh: bool = False, cut_rates: float | None = None) -> dict[str, Any]:
    """Carry out settled settings in the folder `path`, or continue there; give the metrics.

    `cut_rates` is a factor on the learning rates of those trainings whose loss became no number at an earlier
    start. Raises BadInput for what can't work and RunFailed for what went wrong; either way the same call
    continues.
    """
    started = time.monotonic()
    parent = inherit.parent(settings)
    found = sources.load(settings.data)  # before anything is written
    with record.opened(path, settings, fresh) as folder:
        plan = Plan(settings, folder)
        if finished(path) is not None and plan.done():
            print(f"{path} is complete already; --fresh runs it anew")
            return _told(folder, folder.read_json(METRICS))
        if cut_rates is not None:
            _cut_rates(plan, cut_rates)
        digits, overlapping = _guarded(folder, found, settings, parent)
        test = found.test
        del found  # Kaggle's rows and MNIST's again, 110 MB
        fold_of = folds.stratified(digits, settings.folds, settings.seed)
        plan.require_full_batches(fold_of)
        if parent:
            inherit.guard(parent, digits, fold_of, test)
        for line in plan.made_ready():
            print(line)
        with Progress(plan.epochs(), len(folder.epochs())) as progress:
            for tasks in (plan.first_round(digits, fold_of), plan.second_round(digits, fold_of, parent)):
                pool.run_all(tasks, settings.compute.workers, progress.epoch)
        held_out = ensemble.out_of_fold(folder, fold_of, settings.nets)
        temperature = ensemble.fitted_temperature(held_out, digits.known_labels())
        oof = record.npz(
            probabilities=ensemble.tempered(held_out, temperature),
            labels=digits.known_labels(),
            fold=fold_of,
            origin=digits.origin,
            fingerprint=digits.fingerprints(),
        )
        atomic.write(path / OOF, oof)
        artefacts.export(folder, temperature)
        labels = _submit(folder, test, temperature)
        light = Classifier(path / LIGHT_ONNX).predict(test.images).label
        verdict, light_verdict = judge.verdicts(settings.data, test, labels, light)
        metrics = {
            "honest": overlapping.honest,
            "source": settings.data.source,
            "cross_validation": asdict(ensemble.stored_cross_validation(folder)),
            "judge": verdict,
            "judge_light": light_verdict,
            "temperature": temperature,
            "overlap": asdict(overlapping),
            "rate_cuts": {
                place.name: [asdict(cut) for cut in cuts] for place in plan.places() if (cuts := rate_cuts(place))
            },
            "seconds": _seconds(folder) | {"this_start": round(time.monotonic() - started, 1)},
        }
        folder.write_json(METRICS, metrics)
        artefacts.sign(folder)
        record.finish(path, ARTEFACTS, {})
        return _told(folder, metrics)


def _cut_rates(plan: Plan, factor: float) -> None:
    """Order smaller learning rates where a loss became no number. Raises BadInput where none did."""
    if not 0 < factor < 1:
        raise BadInput(f"cut-rates: is {factor} where a factor between 0 and 1 belongs")
    cut = [place.name for place in plan.places() if order_rate_cut(place, factor)]
    if not cut:
        raise BadInput(f"cut-rates: no training of {plan.folder.path} was stopped by its loss; leave the option out")
    print(f"learning rates times {factor} from the last good checkpoint on: {', '.join(cut)}")


def _guarded(folder: RunFolder, found: Sources, settings: Settings, parent: Parent | None) -> tuple[Digits, Overlap]:
    """What is trained on and what the guard did: said, stored, and the same as at an earlier start.

    Raises BadInput where an earlier start had other digits.
    """
    digits, overlapping = overlap.guard(found.train, found.extra, found.test, settings.data.overlap)
    if parent:
        honest = overlapping.honest and parent.overlap["honest"]
        overlapping = replace(overlapping, inherited=parent.overlap, honest=honest)
    for line in (*found.notes, overlapping.sentence()):
        print(line)
    noted = {
        "train_rows": len(digits),
        "test_rows": len(found.test),
        "train_sha256": digits.sha256(),
        "test_sha256": found.test.sha256(),
        "overlap": asdict(overlapping),
    }
    if (folder.path / DATA).exists():
        before = folder.read_json(DATA)
        if (before["train_sha256"], before["test_sha256"]) != (noted["train_sha256"], noted["test_sha256"]):
            raise BadInput(
                f"{folder.path}: was started on other digits ({before['train_rows']:,} to train, "
                f"{before['test_rows']:,} to test); bring those back, give another --out, or use --fresh"
            )
    folder.write_json(DATA, noted)
    return digits, overlapping


def _submit(folder: RunFolder, test: Digits, temperature: float) -> npt.NDArray[np.int64]:
    """Write the submission: what the exported model says, which on some of the rows torch is asked to confirm."""
    said = Classifier(folder.path / CLASSIFIER_ONNX).predict(test.images)
    some = np.linspace(0, len(test) - 1, min(PARITY_ROWS, len(test)), dtype=np.int64)
    with torch.inference_mode():
        expected = Ensemble(artefacts.members(folder), temperature)(torch.from_numpy(test.images[some]))[0].numpy()
    gap = float(np.abs(said.probabilities[some] - expected).max())
    if not gap <= PROBABILITY_TOLERANCE:
        raise RunFailed(
            f"{CLASSIFIER_ONNX}: differs from torch by {gap:.2g} on the test rows; no submission was written"
        )
    probabilities = record.npz(probabilities=said.probabilities, origin=test.origin)
    atomic.write(folder.path / TEST_PROBABILITIES, probabilities)
    atomic.write(folder.path / SUBMISSION, submission.render(said.label))
    return said.label


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
    if metrics["judge_light"]:
        print(f"the light net alone: {judge.Verdict(**metrics['judge_light']).sentence()}")
    if not metrics["honest"]:
        print("LEAKED: this run was allowed to train on test images; none of its scores counts")
    print(f"written in {folder.path}: {SUBMISSION}, {', '.join(artefacts.MODELS)}")
    return metrics
