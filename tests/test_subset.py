"""A part of a run's trainings, by name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from conftest import SMOKE, few_digits, in_process, succeeded

from tenfold.errors import BadInput
from tenfold.orchestration import subset
from tenfold.orchestration.plan import Plan
from tenfold.settings import Cgan, Settings
from tenfold.storage import atomic
from tenfold.storage.checkpoint import FORMAT
from tenfold.storage.completion import finish
from tenfold.storage.run_folder import RunFolder

SETTINGS = Settings(folds=3, nets=2, cgan=Cgan(share=0.1))
EVERYTHING = ["fold=0", "fold=1", "fold=2", "light", "generator"]


def finish_all(*folders: Path) -> None:
    for folder in folders:
        atomic.write(folder / "weights", b"w")
        finish(folder, ["weights"], {"format": FORMAT, "variety": 1.0})


@pytest.mark.parametrize(
    ("words", "names"),
    [
        ("fold=2", {"fold-2-generator", "fold-2-net-0", "fold-2-net-1"}),
        ("fold=0,net=1", {"fold-0-generator", "fold-0-net-1"}),
        ("light", {"light"}),
        ("generator", {"generator"}),
    ],
)
def test_words_select_trainings_and_the_plan_obeys(words: str, names: set[str], tmp_path: Path) -> None:
    part = subset.select(words, SETTINGS)
    assert part == names
    plan = Plan(SETTINGS, RunFolder(tmp_path), part)
    digits = few_digits(60)
    fold_of = digits.known_labels() % 3
    tasks = [*plan.fold_generator_tasks(digits, fold_of), *plan.net_tasks(digits, fold_of, None)]
    assert {task.name for task in tasks} == names
    nets = sum("net" in name for name in names)
    epochs = {"light": SETTINGS.light.epochs, "generator": SETTINGS.generator.epochs}
    planned = {training.name: training.epochs for training in plan.planned()}
    assert planned.keys() == names
    assert sum(planned.values()) == epochs.get(words, SETTINGS.cgan.epochs + nets * SETTINGS.fit.epochs)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("", "only: .*nothing"),
        ("seed=1", "only: .*seed=1"),
        ("net=1", "only: .*net=1"),
        ("net=1,fold=1", "only: .*net=1,fold=1"),
        ("fold=1,fold=2", "only: .*fold=1,fold=2"),
        ("fold-1-net-0", "only: .*fold-1-net-0"),
        ("fold=3", "only: .*fold.*3"),
        ("fold=-1", "only: .*fold.*-1"),
        ("fold=", "only: .*fold.*nothing"),
        ("fold=1,net=2", "only: .*net.*2"),
    ],
)
def test_other_words_are_refused(words: str, reason: str) -> None:
    with pytest.raises(BadInput, match=reason):
        subset.select(words, SETTINGS)


def test_what_is_left_is_named_in_the_words_of_only(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    assert subset.remaining(SETTINGS, run) == EVERYTHING
    finish_all(run.fold_generator(0), run.net(0, 0), run.net(1, 0), run.net(1, 1), run.light)
    assert subset.remaining(SETTINGS, run) == ["fold=0,net=1", "fold=1", "fold=2", "generator"]
    for words in subset.remaining(SETTINGS, run):
        finish_all(*(tmp_path / name for name in subset.select(words, SETTINGS)))
    assert subset.remaining(SETTINGS, run) == [] and Plan(SETTINGS, run).is_done()


def test_with_a_reserve_every_fold_includes_its_generator(tmp_path: Path) -> None:
    settings = replace(SETTINGS, cgan=Cgan(share=0.1, reserve=0.2))
    assert subset.select("fold=1,net=0", settings) == {"reserve-generator", "fold-1-net-0"}
    run = RunFolder(tmp_path)
    finish_all(*(run.net(fold, net) for fold in range(3) for net in range(2)))
    assert subset.remaining(settings, run)[0] == "fold=0"
    finish_all(run.reserve_generator)
    assert subset.remaining(settings, run) == ["light", "generator"]


def test_a_run_of_a_part_fits_what_the_whole_run_fits(finished_run: Path, tmp_path: Path) -> None:
    text = succeeded(in_process(*SMOKE, "--only", "fold=1", "--out", "part", cwd=tmp_path))
    assert "fold=0, light, generator; " in text and "`tenfold join`" in text
    folders = [path.name for path in (tmp_path / "part").iterdir() if path.is_dir()]
    assert set(folders) == {"fold-1-generator", "fold-1-net-0"}
    for name in ("fold-1-generator/generator.safetensors", "fold-1-net-0/answers.npz"):
        assert (tmp_path / "part" / name).read_bytes() == (finished_run / name).read_bytes()
    assert not (tmp_path / "part/submission.csv").exists()
