"""Which trainings a run consists of."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import few_digits

from tenfold import atomic, record
from tenfold.errors import BadInput
from tenfold.folder import RunFolder
from tenfold.plan import Plan, light
from tenfold.settings import Cgan, Fit, Light, Net, Settings
from tenfold.tasks import ClassifierTask, GeneratorTask

DIGITS, FOLD_OF = few_digits(60), np.arange(60) % 3
SETTINGS = Settings(folds=3, nets=2, cgan=Cgan(share=0.1), light=Light((4, 8), 7))


def names(places: list[Path]) -> list[str]:
    return [place.name for place in places]


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    return Plan(SETTINGS, RunFolder(tmp_path))


def test_there_are_folds_times_nets_and_what_ships(plan: Plan) -> None:
    nets = [f"fold-{fold}-net-{net}" for fold in range(3) for net in range(2)]
    shipped = ["light", "generator"]
    assert names(plan.places()) == [*(f"fold-{fold}-generator" for fold in range(3)), *nets, *shipped]
    assert sum(training.epochs for training in plan.planned()) == 4 * SETTINGS.cgan.epochs + 6 * SETTINGS.fit.epochs + 7
    alone = Plan(replace(SETTINGS, cgan=Cgan(share=0)), plan.folder)
    assert names(alone.places()) == [*nets, *shipped]
    assert sum(training.epochs for training in alone.planned()) == SETTINGS.cgan.epochs + 6 * SETTINGS.fit.epochs + 7


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


def test_what_is_finished_is_not_done_again(plan: Plan) -> None:
    for place in (plan.folder.fold_generator(1), plan.folder.net(2, 0), plan.folder.light):
        atomic.write(place / "weights", b"w")
        record.finish(place, ["weights"], {})
    left = [task.name for task in plan.first_round(DIGITS, FOLD_OF)]
    assert left == ["fold-0-generator", "fold-2-generator"]
    left = [task.name for task in plan.second_round(DIGITS, FOLD_OF, None)]
    assert "fold-2-net-0" not in left and "light" not in left and len(left) == 6
    assert not plan.done()


def test_the_light_net_answers_without_shifts_and_has_epochs_of_its_own() -> None:
    settings = light(SETTINGS)
    assert settings.net == Net((4, 8), tta_shift_px=0) and settings.fit == Fit(epochs=7)
    assert settings.warp == SETTINGS.warp


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (replace(SETTINGS, fit=Fit(batch_size=41)), "fit.batch-size: is 41 where a fold trains on 40 digits"),
        (replace(SETTINGS, fit=Fit(batch_size=9)), "cgan.batch-size: is 128 where a fold trains on 40 digits"),
    ],
)
def test_batches_larger_than_the_data_are_refused(settings: Settings, sentence: str, plan: Plan) -> None:
    with pytest.raises(BadInput, match=sentence):
        Plan(settings, plan.folder).require_full_batches(FOLD_OF)
