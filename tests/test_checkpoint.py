"""A training goes on from what is whole and its own; from anything else it starts anew, and says so."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from conftest import few_digits

from tenfold.errors import BadInput
from tenfold.models.classifier import Classifier
from tenfold.models.weights import load_classifier, save_weights
from tenfold.orchestration.plan import Plan
from tenfold.orchestration.pool import Task
from tenfold.settings import Cgan, Compute, FinalGenerator, Fit, Light, Net, Settings
from tenfold.storage import checkpoint
from tenfold.storage.checkpoint import ABOUT, FORMAT, Checkpoint, Unusable
from tenfold.storage.run_folder import RunFolder

SETTINGS = Settings(
    folds=2,
    net=Net((4, 8)),
    fit=Fit(epochs=2, epoch_images=64, batch_size=32),
    generator=FinalGenerator(epochs=2),
    light=Light((4, 8), epochs=3),
    cgan=Cgan(share=0, least_variety=0, epochs=2, epoch_images=64, batch_size=32, z_dim=8, width=4),
    compute=Compute("cpu", "fp32", 1, 1),
)
DIGITS, FOLD_OF = few_digits(96), np.arange(96) % 2
SHIPPED = ["light", "generator"]  # a classifier and a generator


class StoppedError(Exception):
    """What ends a training in these tests."""


def task(plan: Plan, name: str) -> Task:
    return next(task for task in plan.second_round(DIGITS, FOLD_OF, None) if task.name == name)


def carry_out(plan: Plan, name: str, stop_after: int | None = None) -> list[int]:
    """Fit, as a worker does, until the end or the end of an epoch; gives the epochs done."""
    epochs: list[int] = []

    def report(record: dict[str, Any]) -> None:
        epochs.append(record["epoch"])
        if record["epoch"] == stop_after:
            raise StoppedError

    left = task(plan, name)
    try:
        left.work(left.argument, report)
    except StoppedError:
        assert stop_after
    return epochs


def weights(plan: Plan, name: str) -> bytes:
    (path,) = (plan.folder.path / name).glob("*.safetensors")
    return path.read_bytes()


def state(plan: Plan, name: str) -> Path:
    (path,) = (plan.folder.path / name).glob("*.checkpoint.safetensors")
    return path


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    return Plan(SETTINGS, RunFolder(tmp_path))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    plan = Plan(SETTINGS, RunFolder(tmp_path_factory.mktemp("undisturbed")))
    for name in SHIPPED:
        carry_out(plan, name)
    return plan


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def of_another_version(path: Path) -> None:
    about = json.dumps({"format": FORMAT + 1, "epochs_done": 1})
    path.write_bytes(safetensors.torch.save(safetensors.torch.load_file(path), {checkpoint.ABOUT: about}))


def of_other_nets(path: Path) -> None:
    tensors = safetensors.torch.load_file(path)
    wider = {key: torch.cat([value, value]) if value.ndim else value for key, value in tensors.items()}
    checkpoint.save(path, Checkpoint(1, wider))


def of_nothing_known(path: Path) -> None:
    about = json.dumps({"format": FORMAT, "epochs_done": "many"})
    path.write_bytes(safetensors.torch.save({"x": torch.zeros(1)}, {ABOUT: about}))


DAMAGES = {
    "is damaged": cut,
    "was written by another version of tenfold": of_another_version,
    "is of other nets": of_other_nets,
}


@pytest.mark.parametrize("name", SHIPPED)
def test_a_whole_checkpoint_is_gone_on_from_without_a_word(plan: Plan, undisturbed: Plan, name: str) -> None:
    carry_out(plan, name, stop_after=1)
    assert plan.made_ready() == []
    assert carry_out(plan, name)[0] == 2
    assert weights(plan, name) == weights(undisturbed, name)


@pytest.mark.parametrize("name", SHIPPED)
@pytest.mark.parametrize("why", DAMAGES)
def test_a_checkpoint_that_is_of_no_use_starts_the_training_anew(
    plan: Plan, undisturbed: Plan, name: str, why: str
) -> None:
    carry_out(plan, name, stop_after=1)
    DAMAGES[why](state(plan, name))
    assert plan.made_ready() == [f"{name} starts anew: its checkpoint {why}"]
    assert plan.made_ready() == []  # it is said once
    assert carry_out(plan, name)[0] == 1
    assert weights(plan, name) == weights(undisturbed, name)
    lines = [(line["stage"], line["epoch"]) for line in plan.folder.epochs()]
    assert len(lines) == len(set(lines)) == (3 if name == "light" else 2)


def forget_a_byte(folder: Path) -> None:
    cut(next(folder.glob("*.safetensors")))


def lose_a_file(folder: Path) -> None:
    next(folder.glob("*.safetensors")).unlink()


def note_another_format(folder: Path) -> None:
    done = json.loads((folder / "done.json").read_text())
    (folder / "done.json").write_text(json.dumps(done | {"format": FORMAT + 1}))


def scribble(folder: Path) -> None:
    (folder / "done.json").write_text("[1]")


@pytest.mark.parametrize("damage", [forget_a_byte, lose_a_file, note_another_format, scribble])
def test_a_finished_training_that_was_changed_starts_anew(
    plan: Plan, undisturbed: Plan, damage: Callable[[Path], None]
) -> None:
    carry_out(plan, "light")
    assert plan.made_ready() == []
    damage(plan.folder.light)
    (said,) = plan.made_ready()
    assert said.startswith("light starts anew: its result was changed or removed since, or was written by another")
    assert carry_out(plan, "light") == [1, 2, 3]
    assert weights(plan, "light") == weights(undisturbed, "light")


def test_a_checkpoint_beside_a_finished_result_is_removed(plan: Plan) -> None:
    carry_out(plan, "light", stop_after=1)
    left, content = state(plan, "light"), state(plan, "light").read_bytes()
    carry_out(plan, "light")
    left.write_bytes(content)  # as a kill between the result and the removal leaves it
    assert plan.made_ready() == [] and not left.exists()


def test_what_was_stored_is_told_from_nothing_and_from_something_else(tmp_path: Path) -> None:
    path = tmp_path / "state"
    assert checkpoint.load(path) is None
    checkpoint.save(path, Checkpoint(3, {"x": torch.ones(2)}))
    found = checkpoint.load(path)
    assert found and found.epochs_done == 3 and torch.equal(found.tensors["x"], torch.ones(2))
    for damage in (of_nothing_known, cut):
        damage(path)
        with pytest.raises(Unusable, match="is damaged"):
            checkpoint.load(path)


def test_the_same_state_gives_the_same_bytes_and_the_first_format_is_another_version(
    tmp_path: Path,
) -> None:
    state = Checkpoint(2, {"x": torch.ones(2)})
    for name in ("a", "b"):
        checkpoint.save(tmp_path / name, state)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    (tmp_path / "a").write_bytes(safetensors.torch.save(state.tensors, {"epochs_done": "2"}))
    with pytest.raises(Unusable, match="was written by another version"):
        checkpoint.load(tmp_path / "a")


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (Path.unlink, "is missing; run the same `tenfold run` again, which fits it anew"),
        (cut, "is damaged; run the same `tenfold run` again, which fits it anew"),
        (of_another_version, "was written by another version of tenfold; run the same"),
        (of_other_nets, "holds another net than its run's settings ask for; run it anew with --fresh"),
    ],
)
def test_weights_that_cannot_be_had_are_refused_in_a_sentence(
    tmp_path: Path, damage: Callable[[Path], None], sentence: str
) -> None:
    path = tmp_path / "weights"
    save_weights(path, Classifier(SETTINGS.net))
    load_classifier(path, SETTINGS.net)
    damage(path)
    with pytest.raises(BadInput, match=sentence):
        load_classifier(path, SETTINGS.net)
    save_weights(path, Classifier(SETTINGS.net))
    with pytest.raises(BadInput, match="holds another net"):
        load_classifier(path, replace(SETTINGS.net, channels=(4, 16)))
