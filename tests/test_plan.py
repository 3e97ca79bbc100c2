"""Which trainings a run consists of."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import few_digits

from tenfold.data.folds import NOT_VALIDATED
from tenfold.errors import BadInput
from tenfold.models.cgan import Generator
from tenfold.models.weights import GENERATOR, save_weights
from tenfold.orchestration.plan import Plan
from tenfold.settings import Cgan, FinalGenerator, Fit, Light, Net, Settings, light_settings
from tenfold.storage import atomic
from tenfold.storage.checkpoint import FORMAT
from tenfold.storage.completion import finish
from tenfold.storage.run_folder import RunFolder
from tenfold.training.tasks import ClassifierTask, GeneratorTask

DIGITS, FOLD_OF = few_digits(60), np.arange(60) % 3
SETTINGS = Settings(folds=3, nets=2, cgan=Cgan(share=0.1), light=Light((4, 8), 7))


def names(places: list[Path]) -> list[str]:
    return [place.name for place in places]


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    return Plan(SETTINGS, RunFolder(tmp_path))


def test_there_are_folds_times_nets_and_what_ships(plan: Plan) -> None:
    nets = [f"fold-{fold}-net-{net}" for fold in range(3) for net in range(2)]
    second = ["generator", *nets, "light"]
    assert names(plan.places()) == [*(f"fold-{fold}-generator" for fold in range(3)), *second]
    generators, ships = 3 * SETTINGS.cgan.epochs, 7 + SETTINGS.generator.epochs
    assert sum(training.epochs for training in plan.planned()) == generators + 6 * SETTINGS.fit.epochs + ships
    alone = Plan(replace(SETTINGS, cgan=Cgan(share=0)), plan.folder)
    assert names(alone.places()) == second
    assert sum(training.epochs for training in alone.planned()) == 6 * SETTINGS.fit.epochs + ships


def test_every_task_gets_its_folds_digits_and_draws_of_its_own(plan: Plan) -> None:
    tasks = [*plan.first_round(DIGITS, FOLD_OF), *plan.second_round(DIGITS, FOLD_OF, None)]
    assert [task.name for task in tasks] == names(plan.places())
    streams = set()
    for task in tasks:
        argument = task.argument
        assert isinstance(argument, GeneratorTask | ClassifierTask)
        streams.add((argument.stream, task.work))
        fold = argument.stream.fold
        held_out = DIGITS.take(fold == FOLD_OF) if fold < 3 else None
        kept = DIGITS.take(fold != FOLD_OF)
        assert (argument.train.images == kept.images).all()
        if isinstance(argument, ClassifierTask):
            assert (argument.validation is None) == (held_out is None)
            assert held_out is None or (argument.validation.images == held_out.images).all()  # type: ignore[union-attr]
            assert argument.generator == (f"fold-{fold}-generator" if fold < 3 else None)
    assert len(streams) == len(tasks)


def test_a_reserve_is_trained_on_by_all_and_fits_the_one_generator(plan: Plan) -> None:
    fold_of = FOLD_OF.copy()
    fold_of[::4] = NOT_VALIDATED
    with_reserve = Plan(replace(SETTINGS, cgan=Cgan(share=0.1, reserve=0.25)), plan.folder)
    (one,) = with_reserve.first_round(DIGITS, fold_of)
    assert one.name == "reserve-generator"
    assert (one.argument.train.images == DIGITS.images[::4]).all()
    for task in with_reserve.second_round(DIGITS, fold_of, None):
        argument = task.argument
        if task.name.startswith("fold"):
            fold = argument.stream.fold
            assert argument.generator == "reserve-generator"
            assert (argument.train.images == DIGITS.images[fold_of != fold]).all()
            assert (argument.validation.images == DIGITS.images[fold_of == fold]).all()
            assert not set(argument.validation.keys().tolist()) & set(one.argument.train.keys().tolist())


def test_the_generator_that_ships_has_epochs_of_its_own(plan: Plan) -> None:
    longer = Plan(replace(SETTINGS, generator=FinalGenerator(epochs=9)), plan.folder)
    tasks = {task.name: task for task in longer.second_round(DIGITS, FOLD_OF, None)}
    assert tasks["generator"].argument.settings.cgan == replace(SETTINGS.cgan, epochs=9)
    assert {training.name: training.epochs for training in longer.planned()}["generator"] == 9


def test_a_collapsed_generators_digits_are_shown_to_no_net(plan: Plan) -> None:
    for fold, variety in enumerate([0.1, 0.9]):
        finish(plan.folder.fold_generator(fold), [], {"variety": variety})
    assert plan.collapsed() == ["fold-0-generator"]
    nets = [task.argument for task in plan.second_round(DIGITS, FOLD_OF, None) if "net" in task.name]
    assert [net.generator for net in nets][:4] == [None, None, "fold-1-generator", "fold-1-generator"]


def test_what_scores_the_generator_learns_from_its_digits_alone(plan: Plan) -> None:
    settings = replace(SETTINGS, cgan=replace(SETTINGS.cgan, cas_seeds=2, width=4))
    scoring = Plan(settings, plan.folder)
    save_weights(plan.folder.generator / GENERATOR, Generator(settings.cgan))
    first, second = scoring.third_round(DIGITS, n=30)
    assert (first.name, second.name) == ("cas-0", "cas-1")
    for task in (first, second):
        argument = task.argument
        assert argument.train.known_labels().tolist() == [place % 10 for place in range(30)]
        assert set(argument.train.origin["source"].tolist()) == {"generated"}
        assert argument.validation is DIGITS and argument.generator is None and argument.init is None
        assert argument.settings.fit.epochs == 5 and argument.settings.net == light_settings(settings).net
        assert argument.settings.cgan.share == 0 and argument.settings.warp == settings.warp
    assert (first.argument.train.images != second.argument.train.images).any()


def test_what_is_finished_is_not_done_again(plan: Plan) -> None:
    for place in (plan.folder.fold_generator(1), plan.folder.net(2, 0), plan.folder.light):
        atomic.write(place / "weights", b"w")
        finish(place, ["weights"], {"format": FORMAT, "variety": 0.9})
    left = [task.name for task in plan.first_round(DIGITS, FOLD_OF)]
    assert left == ["fold-0-generator", "fold-2-generator"]
    left = [task.name for task in plan.second_round(DIGITS, FOLD_OF, None)]
    assert "fold-2-net-0" not in left and "light" not in left and len(left) == 6
    assert not plan.done()


def test_the_light_net_answers_without_shifts_and_has_epochs_of_its_own() -> None:
    settings = light_settings(SETTINGS)
    assert settings.net == Net((4, 8), tta_shift_px=0) and settings.fit == Fit(epochs=7)
    assert settings.warp == SETTINGS.warp


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (replace(SETTINGS, fit=Fit(batch_size=41)), "fit.batch-size: is 41 where a fold trains on 40 digits"),
        (
            replace(SETTINGS, fit=Fit(batch_size=9), cgan=Cgan(share=0.1, reserve=0.1, batch_size=19)),
            "cgan.batch-size: is 19 where the reserve holds 0 digits",
        ),
        (replace(SETTINGS, fit=Fit(batch_size=9)), "cgan.batch-size: is 128 where a fold trains on 40 digits"),
    ],
)
def test_batches_larger_than_the_data_are_refused(settings: Settings, sentence: str, plan: Plan) -> None:
    with pytest.raises(BadInput, match=sentence):
        Plan(settings, plan.folder).require_full_batches(FOLD_OF)
