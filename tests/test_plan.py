"""Which trainings a run consists of, and what each of them gets."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import few_digits

from tenfold.data.folds import NOT_VALIDATED
from tenfold.errors import BadInput
from tenfold.models.cgan import Generator
from tenfold.models.weights import save_weights
from tenfold.orchestration.plan import Plan
from tenfold.orchestration.pool import Task
from tenfold.settings import Cgan, FinalGenerator, Fit, Light, Settings
from tenfold.storage import atomic
from tenfold.storage.checkpoint import FORMAT
from tenfold.storage.completion import finish
from tenfold.storage.run_folder import GENERATOR, RunFolder
from tenfold.training.tasks import ClassifierTask, GeneratorTask

DIGITS, FOLD_OF = few_digits(60), np.arange(60) % 3
SETTINGS = Settings(folds=3, nets=2, cgan=Cgan(share=0.1), light=Light((4, 8), 7))
GENERATORS = [f"fold-{fold}-generator" for fold in range(3)]
NETS = [f"fold-{fold}-net-{net}" for fold in range(3) for net in range(2)]


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    return Plan(SETTINGS, RunFolder(tmp_path))


def with_settings(plan: Plan, **changes: object) -> Plan:
    return replace(plan, settings=replace(plan.settings, **changes))  # type: ignore[arg-type]


def names(items: Iterable[Task | Path]) -> list[str]:
    return [item.name for item in items]


def all_tasks(plan: Plan) -> list[Task]:
    """The tasks of the first two rounds."""
    return [*plan.fold_generator_tasks(DIGITS, FOLD_OF), *plan.net_tasks(DIGITS, FOLD_OF, None)]


def epochs_by_name(plan: Plan) -> dict[str, int]:
    return {training.name: training.epochs for training in plan.planned()}


def test_there_are_folds_times_nets_and_two_final_models(plan: Plan) -> None:
    assert names(plan.folders()) == [*GENERATORS, "generator", *NETS, "light"]
    expected = dict.fromkeys(GENERATORS, SETTINGS.cgan.epochs) | dict.fromkeys(NETS, SETTINGS.fit.epochs)
    assert epochs_by_name(plan) == expected | {"light": 7, "generator": SETTINGS.generator.epochs}


def test_without_generated_digits_folds_have_no_generator(plan: Plan) -> None:
    without = with_settings(plan, cgan=Cgan(share=0))
    assert names(without.folders()) == names(all_tasks(without)) == ["generator", *NETS, "light"]
    assert epochs_by_name(without).keys() == {"generator", *NETS, "light"}
    assert {task.argument.generator for task in all_tasks(without)[1:]} == {None}


def test_every_training_has_its_own_seeds(plan: Plan) -> None:
    tasks = all_tasks(plan)
    assert names(tasks) == names(plan.folders())
    assert len({(task.argument.seeds, task.work) for task in tasks}) == len(tasks)


@pytest.mark.parametrize("fold", range(3))
def test_a_fold_trains_on_the_digits_it_does_not_validate(plan: Plan, fold: int) -> None:
    train, validation = DIGITS.take(fold != FOLD_OF), DIGITS.take(fold == FOLD_OF)
    generator, *nets = (task.argument for task in all_tasks(plan) if task.name.startswith(f"fold-{fold}"))
    assert isinstance(generator, GeneratorTask) and (generator.train.images == train.images).all()
    assert len(nets) == 2
    for net in nets:
        assert isinstance(net, ClassifierTask) and net.generator == generator.name
        assert (net.train.images == train.images).all() and (net.validation.images == validation.images).all()


def test_the_final_models_train_on_all_digits(plan: Plan) -> None:
    tasks = {task.name: task.argument for task in all_tasks(plan)}
    assert tasks["generator"].train is DIGITS and tasks["light"].train is DIGITS
    assert tasks["light"].validation is None and tasks["light"].generator is None


def test_all_folds_train_on_a_reserve_and_share_its_generator(plan: Plan) -> None:
    fold_of = FOLD_OF.copy()
    fold_of[::4] = NOT_VALIDATED
    with_reserve = with_settings(plan, cgan=Cgan(share=0.1, reserve=0.25))
    (generator,) = with_reserve.fold_generator_tasks(DIGITS, fold_of)
    assert generator.name == "reserve-generator"
    assert (generator.argument.train.images == DIGITS.images[::4]).all()
    nets = [task.argument for task in with_reserve.net_tasks(DIGITS, fold_of, None) if task.name in NETS]
    assert len(nets) == 6
    for net in nets:
        fold = net.seeds.fold
        assert net.generator == "reserve-generator"
        assert (net.train.images == DIGITS.images[fold_of != fold]).all()
        assert (net.validation.images == DIGITS.images[fold_of == fold]).all()
        assert not np.isin(net.validation.keys(), generator.argument.train.keys()).any()


def test_the_final_models_have_their_own_settings(plan: Plan) -> None:
    longer = with_settings(plan, generator=FinalGenerator(epochs=9))
    tasks = {task.name: task.argument for task in all_tasks(longer)}
    assert tasks["generator"].cgan == replace(SETTINGS.cgan, epochs=9)
    assert (tasks["light"].net, tasks["light"].fit) == (SETTINGS.light_net, SETTINGS.light_fit)
    assert (tasks[NETS[0]].net, tasks[NETS[0]].fit) == (SETTINGS.net, SETTINGS.fit)
    assert {task.warp for task in tasks.values() if isinstance(task, ClassifierTask)} == {SETTINGS.warp}
    assert epochs_by_name(longer)["generator"] == 9


def test_digits_of_a_collapsed_generator_are_not_used(plan: Plan) -> None:
    for fold, variety in enumerate([0.1, 0.9]):
        finish(plan.folder.fold_generator(fold), [], {"variety": variety})
    assert plan.collapsed() == ["fold-0-generator"]
    nets = [task.argument for task in plan.net_tasks(DIGITS, FOLD_OF, None) if task.name in NETS]
    assert [net.generator for net in nets][:4] == [None, None, "fold-1-generator", "fold-1-generator"]


def test_nets_that_score_a_generator_see_its_digits_alone(plan: Plan) -> None:
    scoring = with_settings(plan, cgan=replace(SETTINGS.cgan, cas_seeds=2, width=4))
    save_weights(plan.folder.generator / GENERATOR, Generator(scoring.settings.cgan))
    first, second = tasks = list(scoring.scoring_tasks(DIGITS, n=30))
    assert names(tasks) == ["cas-0", "cas-1"]
    for net in (task.argument for task in tasks):
        assert net.train.known_labels().tolist() == [row % 10 for row in range(30)]
        assert set(net.train.origin["source"].tolist()) == {"generated"}
        assert net.validation is DIGITS and net.generator is None and net.init is None
        assert (net.net, net.fit, net.warp) == (SETTINGS.light_net, SETTINGS.scoring_fit, SETTINGS.warp)
    assert (first.argument.train.images != second.argument.train.images).any()
    assert epochs_by_name(scoring)["cas-1"] == SETTINGS.scoring_fit.epochs


def test_without_test_labels_nothing_scores_a_generator(plan: Plan) -> None:
    scoring = with_settings(plan, cgan=replace(SETTINGS.cgan, cas_seeds=2))
    assert list(scoring.scoring_tasks(DIGITS.without_labels())) == []


def finish_all(folders: Iterable[Path]) -> None:
    for folder in folders:
        atomic.write(folder / "weights", b"w")
        finish(folder, ["weights"], {"format": FORMAT, "variety": 0.9})


def test_a_finished_training_is_not_repeated(plan: Plan) -> None:
    done = [plan.folder.fold_generator(1), plan.folder.net(2, 0), plan.folder.light]
    finish_all(done)
    remaining = [name for name in names(plan.folders()) if name not in names(done)]
    assert names(all_tasks(plan)) == remaining and len(remaining) == 8
    assert not plan.is_done()
    finish_all(plan.folders())
    assert plan.is_done() and all_tasks(plan) == []


def test_a_subset_limits_the_trainings(plan: Plan) -> None:
    subset = replace(plan, only=frozenset({"fold-1-generator", "fold-1-net-0", "light"}))
    assert names(all_tasks(subset)) == ["fold-1-generator", "fold-1-net-0", "light"]
    assert epochs_by_name(subset).keys() == subset.only


RESERVE_OF_19 = np.where(np.arange(60) < 19, NOT_VALIDATED, FOLD_OF)


@pytest.mark.parametrize(
    ("fit", "cgan", "fold_of", "sentence"),
    [
        (Fit(batch_size=41), Cgan(batch_size=9), FOLD_OF, "fit.batch-size: must be at most 40, the digits .*, got 41"),
        (Fit(batch_size=9), Cgan(), FOLD_OF, "cgan.batch-size: must be at most 40, the digits that a fold .*, got 128"),
        (
            Fit(batch_size=9),
            Cgan(reserve=0.3, batch_size=20),
            RESERVE_OF_19,
            "cgan.batch-size: must be at most 19, the digits in the reserve, got 20; lower it or raise --cgan.reserve",
        ),
    ],
)
def test_batches_larger_than_the_data_are_refused(
    fit: Fit, cgan: Cgan, fold_of: np.ndarray, sentence: str, plan: Plan
) -> None:
    with pytest.raises(BadInput, match=sentence):
        with_settings(plan, fit=fit, cgan=cgan).require_full_batches(fold_of)


def test_batches_as_large_as_the_data_are_accepted(plan: Plan) -> None:
    with_settings(plan, fit=Fit(batch_size=40), cgan=Cgan(batch_size=40)).require_full_batches(FOLD_OF)
    whole_reserve = with_settings(plan, fit=Fit(batch_size=9), cgan=Cgan(reserve=0.3, batch_size=19))
    whole_reserve.require_full_batches(RESERVE_OF_19)
