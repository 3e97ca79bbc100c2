"""The way of the data, top to bottom: from files to a submission, two models and a score."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tenfold.data import folds, overlap
from tenfold.data.digits import Digits
from tenfold.data.overlap import Overlap
from tenfold.errors import BadInput
from tenfold.evaluation import cross_validation, judge, results
from tenfold.models import export
from tenfold.orchestration import pool, warm_start
from tenfold.orchestration.plan import Plan
from tenfold.orchestration.progress import watched
from tenfold.orchestration.warm_start import Parent
from tenfold.report import generator_film, page
from tenfold.settings import Compute, Settings
from tenfold.sources.load import Sources, load_sources, resolve_source
from tenfold.storage import atomic, epoch_log
from tenfold.storage.completion import finish, finished
from tenfold.storage.lock import hold
from tenfold.storage.run_folder import DATA, METRICS, OOF, PICTURES, REPORT, SUBMISSION, TEST_PROBABILITIES, RunFolder
from tenfold.training import device
from tenfold.training.tasks import order_rate_cut, rate_cuts

if TYPE_CHECKING:
    from tenfold.orchestration.cluster import Cluster  # needs Ray

# Not the report: a view of these, which another version may draw otherwise without the run being another.
ARTEFACTS: Final = (OOF, TEST_PROBABILITIES, SUBMISSION, *export.MODELS, DATA, METRICS, PICTURES)


def resolve(settings: Settings, cluster: Cluster | None = None) -> tuple[Settings, str]:
    """Settings with every "auto" replaced by what is there, and a line on the source. Raises BadInput."""
    data, line = resolve_source(settings.data)
    parallel = (cluster.resolve if cluster else device.resolve)(settings.compute, settings.folds * settings.nets + 1)
    init = settings.init.resolve() if settings.init else None
    return replace(settings, data=data, compute=parallel, init=init), line


def run(
    settings: Settings,
    path: Path,
    fresh: bool = False,
    cut_rates: float | None = None,
    tensorboard: bool = False,
    part: frozenset[str] | None = None,
    cluster: Cluster | None = None,
) -> dict[str, Any] | None:
    """Carry out settled settings in the folder `path`, or continue there; give the metrics.

    `cut_rates` is a factor on the learning rates of those trainings whose loss became no number at an earlier
    start. `tensorboard` adds event files. `part` names the trainings to do; after these it stops, and gives None.
    They run on the nodes of `cluster`, or on this machine. Raises BadInput for what can't work and RunFailed for
    what went wrong; either way the same call continues.
    """
    started = time.monotonic()
    parent = warm_start.parent(settings)
    found = load_sources(settings.data)  # before anything is written
    with hold(path, settings, fresh) as folder:
        plan = Plan(settings, folder, part)
        if finished(path) is not None and plan.done():
            print(f"{path} is complete already; --fresh runs it anew")
            return _told(folder, folder.metrics())
        if cut_rates is not None:
            _cut_rates(plan, cut_rates)
        digits, overlapping = _guarded(folder, found, settings, parent)
        test = found.test
        del found  # Kaggle's rows and MNIST's again, 110 MB
        fold_of = folds.stratified(digits, settings.folds, settings.seed, settings.cgan.reserve)
        plan.require_full_batches(fold_of)
        if parent:
            warm_start.guard(parent, digits, fold_of, test)
        for line in plan.made_ready():
            print(line)
        earlier = folder.epochs()
        earlier_s = epoch_log.covered(earlier)
        if earlier:
            print(f"{path} is continued; epochs of training so far: {len(earlier)}, {earlier_s:.0f} s")
        side_by_side = cluster.room(settings.compute) if cluster else settings.compute.workers
        with watched(plan.planned(), folder, side_by_side, tensorboard) as report:
            run_all(plan.first_round(digits, fold_of), settings.compute, report, cluster)
            run_all(plan.second_round(digits, fold_of, parent), settings.compute, report, cluster)
            for name in plan.collapsed():
                print(f"{name} has collapsed: no net was shown its digits, which differ too little")
            if part:
                return None
            known = results.labelled(test, settings.data) if settings.cgan.cas_seeds else None
            if known:
                run_all(plan.third_round(known), settings.compute, report, cluster)
        temperature = results.held_out(folder, digits, fold_of)
        export.export(folder, temperature)
        results.answer(folder, test, temperature)
        metrics = results.scored(folder, digits, test, known, temperature) | {
            "collapsed": plan.collapsed(),
            "honest": overlapping.honest,
            "overlap": asdict(overlapping),
            "rate_cuts": {
                place.name: [asdict(cut) for cut in cuts] for place in plan.places() if (cuts := rate_cuts(place))
            },
            "seconds": {
                **epoch_log.by_stage(folder.epochs()),
                "total": round(earlier_s + time.monotonic() - started, 1),
            },
        }
        folder.write_json(METRICS, metrics)
        export.sign(folder)
        generator_film.write(folder)
        atomic.write(path / REPORT, page.render(folder).encode())
        finish(path, ARTEFACTS, {})
        return _told(folder, metrics)


def run_all(
    tasks: Iterable[pool.Task], layout: Compute, report: Callable[[dict[str, Any]], None], cluster: Cluster | None
) -> None:
    """Do a round of a plan, here or on the nodes of a cluster."""
    if cluster:
        cluster.run_all(tasks, layout, report)
    else:
        pool.run_all(tasks, layout.workers, report)


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


def _told(folder: RunFolder, metrics: dict[str, Any]) -> dict[str, Any]:
    """Say how it came out."""
    cv = cross_validation.CrossValidation(**metrics["cross_validation"])
    print(cv.sentence())
    if metrics["judge"]:
        print(judge.Verdict(**metrics["judge"]).sentence())
    if metrics["judge_light"]:
        print(f"the light net alone: {judge.Verdict(**metrics['judge_light']).sentence()}")
    if not metrics["honest"]:
        print("LEAKED: this run was allowed to train on test images; none of its scores counts")
    print(f"written in {folder.path}: {SUBMISSION}, {REPORT}, {', '.join(export.MODELS)}")
    return metrics
