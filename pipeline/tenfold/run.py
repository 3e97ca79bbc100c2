"""A run, step by step in the order of the data: from files to a submission, models and scores."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from tenfold.data import overlap
from tenfold.data.digits import Digits
from tenfold.data.folds import stratified
from tenfold.data.overlap import DataRecord
from tenfold.errors import BadInput
from tenfold.evaluation import judge
from tenfold.evaluation.cross_validation import out_of_fold
from tenfold.evaluation.metrics import RunMetrics, load_run_metrics
from tenfold.evaluation.model_card import model_cards
from tenfold.evaluation.results import predict_light, score_generator, write_submission
from tenfold.models.export import MODELS, export_models, write_models
from tenfold.models.weights import TrainedNets
from tenfold.orchestration import pool, warm_start
from tenfold.orchestration.plan import Plan
from tenfold.orchestration.progress import Display
from tenfold.orchestration.warm_start import Parent, load_parent
from tenfold.report import generator_film
from tenfold.report.page import FinishedRun, Pictures, write_report
from tenfold.settings import Settings
from tenfold.sources.load import load_sources, resolve_source
from tenfold.storage.completion import finish, finished
from tenfold.storage.epoch_log import Epoch, PartOfEpoch, elapsed_seconds, seconds_by_stage
from tenfold.storage.lock import hold
from tenfold.storage.run_folder import (
    DATA,
    ENVIRONMENT,
    METRICS,
    OOF,
    PICTURES,
    SETTINGS,
    SUBMISSION,
    TENSORBOARD,
    TEST_PROBABILITIES,
    RunFolder,
)
from tenfold.terminal import note
from tenfold.training import device
from tenfold.training.task_folder import add_rate_cut, rate_cuts

if TYPE_CHECKING:
    from tenfold.orchestration.cluster import Cluster  # needs Ray

# Not the report: a new version may draw it differently, and the run stays the same.
ARTEFACTS: Final = (*(SETTINGS, ENVIRONMENT, DATA, OOF, TEST_PROBABILITIES, SUBMISSION, *MODELS, METRICS, PICTURES),)

RunRound = Callable[[Iterable[pool.Task]], None]


def resolve(settings: Settings, cluster: Cluster | None = None) -> tuple[Settings, str]:
    """Settings with every "auto" resolved, and a line about the source. Raises BadInput."""
    data, line = resolve_source(settings.data)
    compute = (cluster or device).resolve(settings.compute, settings.folds * settings.nets + 1)  # and the light net
    init = settings.init.resolve() if settings.init else None
    return replace(settings, data=data, compute=compute, init=init), line


def run(
    settings: Settings,
    path: Path,
    *,
    fresh: bool = False,
    cut_rates: float | None = None,
    tensorboard: bool = False,
    only: frozenset[str] | None = None,
    cluster: Cluster | None = None,
) -> RunMetrics | None:
    """Carry out resolved settings in the folder `path`, or continue there; return the metrics.

    `cut_rates` is a factor on the learning rates of trainings whose loss became NaN in an earlier attempt.
    `tensorboard` adds event files. With `only`, it does just these trainings and returns None. Trainings run on
    the nodes of `cluster`, or on this machine. Raises BadInput for bad input, RunFailed for other failures; the
    same call resumes.
    """
    started = time.monotonic()
    with ExitStack() as stack:
        display = stack.enter_context(Display())
        display.step("reading the digits")
        parent = load_parent(settings)
        digits, test, record, notes = load_digits(settings, parent)  # before anything is written
        folder = stack.enter_context(hold(path, settings, fresh))
        plan = Plan(settings, folder, only)
        if finished(path) is not None and plan.is_done():
            note(f"{path} is complete already; --fresh reruns it")
            return load_run_metrics(folder)
        record_digits(folder, record, notes)
        fold_of = stratified(digits, settings.folds, settings.seed, settings.cgan.reserve)
        plan.require_full_batches(fold_of)
        if parent:
            warm_start.guard(parent, digits, fold_of, test)
        if cut_rates is not None:
            _add_rate_cuts(plan, cut_rates)
        with training(plan, display, tensorboard=tensorboard, cluster=cluster) as run_round:
            started -= elapsed_seconds(folder.epoch_log.read())  # so that the total includes earlier attempts
            run_round(plan.fold_generator_tasks(digits, fold_of))
            run_round(plan.net_tasks(digits, fold_of, parent))
            if only:
                return None
            test = judge.with_labels(test, settings.data)  # for scores only, once everything is chosen
            run_round(plan.scoring_tasks(test))
        return _evaluate_and_export(plan, display, digits, fold_of, test, record, started)


def _evaluate_and_export(
    plan: Plan,
    display: Display,
    digits: Digits,
    fold_of: npt.NDArray[np.int64],
    test: Digits,
    record: DataRecord,
    started: float,
) -> RunMetrics:
    """From trained nets to a submission, models, metrics and the report."""
    settings, folder = plan.settings, plan.folder
    display.step("calibrating on the cross-validation")
    nets = TrainedNets.load(folder, settings)
    # oof: out-of-fold predictions. temperature: makes the probabilities match the accuracy.
    oof, temperature = out_of_fold(folder, digits, fold_of, settings.nets)
    display.step("exporting the models")
    models = export_models(nets, temperature)
    write_models(folder.path, models)  # for the predictions below; written again with model cards at the end
    display.step("predicting the test digits")
    predicted = write_submission(folder, test, nets.ensemble, temperature)
    predicted_light = predict_light(folder, test)
    display.step("scoring the generator")
    quality = score_generator(folder, settings, nets.light, nets.generator, digits, test)
    display.step("drawing the report")
    epochs = folder.epoch_log.read()
    metrics = RunMetrics(
        source=settings.data.source,
        honest=record.overlap.honest,
        cross_validation=oof.cross_validation(),
        judge=judge.verdict(predicted, test),
        judge_light=judge.verdict(predicted_light, test),
        generator=quality,
        temperature=temperature,
        collapsed=tuple(plan.collapsed()),
        overlap=record.overlap,
        rate_cuts={task.name: cuts for task in plan.folders() if (cuts := rate_cuts(task))},
        seconds=seconds_by_stage(epochs) | {"total": round(time.monotonic() - started, 1)},
    )
    pictures = Pictures.choose(oof, digits, fold_of)
    for result in (oof, pictures, metrics):
        result.save(folder)
    write_models(folder.path, models, model_cards(settings, metrics, record, folder.read_json(ENVIRONMENT)))
    generator_film.write(folder, settings.cgan, epochs)
    write_report(FinishedRun(folder, settings, metrics, record, oof, pictures, epochs))
    finish(folder.path, ARTEFACTS, {})
    return metrics


def load_digits(settings: Settings, parent: Parent | None) -> tuple[Digits, Digits, DataRecord, list[str]]:
    """The digits to train on, after the overlap guard, and the test digits; then their record, and notes to print."""
    sources = load_sources(settings.data)
    digits, guarded = overlap.guard(sources.train, sources.extra, sources.test, settings.data.overlap)
    if parent:
        guarded = replace(guarded, inherited=parent.overlap, honest=guarded.honest and parent.overlap.honest)
    record = DataRecord.of(digits, sources.test, guarded)
    return digits, sources.test, record, [*sources.notes, guarded.sentence()]


def record_digits(folder: RunFolder, record: DataRecord, notes: Iterable[str]) -> None:
    """Write data.json and print the notes. Raises BadInput where the run was started on other digits."""
    if (folder.path / DATA).exists():
        try:
            earlier = DataRecord.load(folder)
        except BadInput as error:
            fix = "if the digits are the same as before, delete it, and the run continues"
            raise BadInput(f"{folder.path / DATA}: is damaged; {fix}") from error
        if not earlier.same_digits(record):
            raise BadInput(
                f"{folder.path}: was started on other digits ({earlier.train_rows:,} to train, "
                f"{earlier.test_rows:,} to test); restore those files, give another --out, or use --fresh "
                f"(if they are the same ones, {DATA} is damaged: delete it, and the run continues)"
            )
    for line in notes:
        note(line)
    record.save(folder)


@contextmanager
def training(
    plan: Plan, display: Display, *, tensorboard: bool = False, cluster: Cluster | None = None
) -> Iterator[RunRound]:
    """Inside `with`: a function that does one round of a plan's trainings, here or on the nodes of a cluster."""
    for sentence in plan.prepare():
        note(sentence)
    planned, earlier = plan.planned(), plan.folder.epoch_log.read()
    names = {training.name for training in planned}
    done = [epoch for epoch in earlier if epoch.task in names]
    if earlier:
        note(
            f"{plan.folder.path} continues; {len(earlier)} epochs of training so far, {elapsed_seconds(earlier):.0f} s"
        )
    compute = plan.settings.compute
    display.train(planned, done, cluster.capacity(compute) if cluster else compute.workers)
    with ExitStack() as stack:
        event_files = None
        if tensorboard:
            from tenfold.orchestration.tensorboard import EventFiles

            event_files = stack.enter_context(EventFiles(plan.folder.path / TENSORBOARD, done))

        def report(progress: Epoch | PartOfEpoch) -> None:
            display.report(progress)
            if event_files and isinstance(progress, Epoch):
                event_files.epoch(progress)

        if cluster:
            yield lambda tasks: cluster.run_all(tasks, compute, report)
        else:
            yield lambda tasks: pool.run_all(tasks, compute.workers, report)
    for name in plan.collapsed():
        note(f"{name} has collapsed: no net learns from its digits, which vary too little")


def _add_rate_cuts(plan: Plan, factor: float) -> None:
    """Give trainings whose loss became NaN lower learning rates. Raises BadInput where there is none."""
    if not 0 < factor < 1:
        raise BadInput(f"cut-rates: must be a factor > 0 and < 1, got {factor}")
    names = [folder.name for folder in plan.folders() if add_rate_cut(folder, factor)]
    if not names:
        raise BadInput(f"cut-rates: no training of {plan.folder.path} was stopped by its loss; omit the option")
    note(f"learning rates times {factor} from the last good checkpoint on: {', '.join(names)}")
