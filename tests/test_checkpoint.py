"""A training resumes from an intact checkpoint of its own; with any other it starts anew and reports it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from conftest import few_digits
from hypothesis import given, settings
from hypothesis import strategies as st

from tenfold.errors import BadInput
from tenfold.models.classifier import Classifier
from tenfold.models.weights import load_classifier, save_weights
from tenfold.orchestration.plan import Plan
from tenfold.settings import Cgan, Compute, FinalGenerator, Fit, Light, Net, Settings
from tenfold.storage import checkpoint
from tenfold.storage.checkpoint import ABOUT, FORMAT, Checkpoint, Unusable
from tenfold.storage.completion import DONE
from tenfold.storage.epoch_log import Epoch
from tenfold.storage.run_folder import RunFolder

SETTINGS = Settings(
    folds=2,
    net=Net((4, 8)),
    fit=Fit(epochs=2, epoch_images=64, batch_size=32),
    generator=FinalGenerator(epochs=2),
    light=Light((4, 8), epochs=3),
    cgan=Cgan(share=0, least_variety=0, epochs=2, epoch_images=64, batch_size=32, z_dim=8, width=4),
    compute=Compute("cpu", "fp32", workers=1, threads=1),
)
DIGITS, FOLD_OF = few_digits(96), np.arange(96) % 2
TRAININGS = ["light", "generator"]  # a classifier and a generator


class StoppedError(Exception):
    """Ends a training in these tests."""


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    return Plan(SETTINGS, RunFolder(tmp_path))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    """Trainings that ran without a stop."""
    plan = Plan(SETTINGS, RunFolder(tmp_path_factory.mktemp("undisturbed")))
    for name in TRAININGS:
        train(plan, name)
    return plan


def train(plan: Plan, name: str, stop_after: int | None = None) -> list[int]:
    """Run a training as a worker does, to its end or until an epoch is done; return the epochs done."""
    done: list[int] = []

    def report(epoch: Epoch) -> None:
        done.append(epoch.epoch)
        if epoch.epoch == stop_after:
            raise StoppedError

    task = next(task for task in plan.net_tasks(DIGITS, FOLD_OF, None) if task.name == name)
    try:
        task.work(task.argument, report)
    except StoppedError:
        assert stop_after
    return done


def weights(plan: Plan, name: str) -> bytes:
    (path,) = (plan.folder.path / name).glob("[cg]*.safetensors")  # of the classifier or the generator
    return path.read_bytes()


def checkpoint_of(plan: Plan, name: str) -> Path:
    (path,) = (plan.folder.path / name).glob("*.checkpoint.safetensors")
    return path


def cut_in_half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def of_another_version(path: Path) -> None:
    about = json.dumps({"format": FORMAT + 1, "epochs_done": 1})
    path.write_bytes(safetensors.torch.save(safetensors.torch.load_file(path), {ABOUT: about}))


def of_other_nets(path: Path) -> None:
    tensors = safetensors.torch.load_file(path)
    wider = {name: torch.cat([value, value]) if value.ndim else value for name, value in tensors.items()}
    checkpoint.save(path, Checkpoint(1, wider))


def of_the_first_format(path: Path) -> None:
    path.write_bytes(safetensors.torch.save({"x": torch.zeros(1)}, {"epochs_done": "2"}))


def with_a_wrong_count(path: Path) -> None:
    about = json.dumps({"format": FORMAT, "epochs_done": "many"})
    path.write_bytes(safetensors.torch.save({"x": torch.zeros(1)}, {ABOUT: about}))


@pytest.mark.parametrize("name", TRAININGS)
def test_an_intact_checkpoint_is_resumed_silently(plan: Plan, undisturbed: Plan, name: str) -> None:
    assert train(plan, name, stop_after=1) == [1]
    assert plan.prepare() == []
    assert train(plan, name)[0] == 2
    assert weights(plan, name) == weights(undisturbed, name)


@pytest.mark.parametrize("name", TRAININGS)
@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (cut_in_half, "is damaged"),
        (of_another_version, "was written by another version of tenfold"),
        (of_other_nets, "belongs to other nets"),
    ],
)
def test_an_unusable_checkpoint_starts_the_training_anew(
    plan: Plan, undisturbed: Plan, name: str, damage: Callable[[Path], None], reason: str
) -> None:
    train(plan, name, stop_after=1)
    damage(checkpoint_of(plan, name))
    (sentence,) = plan.prepare()
    assert sentence.startswith(f"{name} ") and sentence.endswith(f"its checkpoint {reason}")
    assert plan.prepare() == []  # reported once
    assert train(plan, name)[0] == 1
    assert weights(plan, name) == weights(undisturbed, name)
    assert [epoch.epoch for epoch in plan.folder.epoch_log.read()] == ([1, 2, 3] if name == "light" else [1, 2])


def cut_the_weights(folder: Path) -> None:
    cut_in_half(next(folder.glob("*.safetensors")))


def remove_the_weights(folder: Path) -> None:
    next(folder.glob("*.safetensors")).unlink()


def change_the_format(folder: Path) -> None:
    done = json.loads((folder / DONE).read_text())
    (folder / DONE).write_text(json.dumps(done | {"format": FORMAT + 1}))


def overwrite_the_record(folder: Path) -> None:
    (folder / DONE).write_text("[1]")


@pytest.mark.parametrize("change", [cut_the_weights, remove_the_weights, change_the_format, overwrite_the_record])
def test_a_changed_result_is_trained_anew(plan: Plan, undisturbed: Plan, change: Callable[[Path], None]) -> None:
    train(plan, "light")
    assert plan.prepare() == []
    change(plan.folder.light)
    (sentence,) = plan.prepare()
    assert sentence.startswith("light ") and "its result was changed or removed" in sentence
    assert train(plan, "light") == [1, 2, 3]
    assert weights(plan, "light") == weights(undisturbed, "light")


def test_a_checkpoint_beside_a_finished_result_is_removed(plan: Plan) -> None:
    train(plan, "light", stop_after=1)
    path = checkpoint_of(plan, "light")
    content = path.read_bytes()
    train(plan, "light")
    path.write_bytes(content)  # as a kill between the result and the removal leaves it
    assert plan.prepare() == [] and not path.exists()


def test_a_checkpoint_is_loaded_as_it_was_saved(tmp_path: Path) -> None:
    path = tmp_path / "state"
    assert checkpoint.load(path) is None
    checkpoint.save(path, Checkpoint(3, {"x": torch.ones(2)}))
    loaded = checkpoint.load(path)
    assert loaded and loaded.epochs_done == 3 and torch.equal(loaded.tensors["x"], torch.ones(2))


def test_the_same_state_gives_the_same_bytes(tmp_path: Path) -> None:
    state = Checkpoint(2, {"x": torch.ones(2), "y": torch.zeros(3)})
    for name in ("a", "b"):
        checkpoint.save(tmp_path / name, state)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize(
    ("write", "reason"),
    [(with_a_wrong_count, "is damaged"), (of_the_first_format, "was written by another version of tenfold")],
)
def test_other_contents_are_unusable(tmp_path: Path, write: Callable[[Path], None], reason: str) -> None:
    write(tmp_path / "state")
    with pytest.raises(Unusable, match=reason):
        checkpoint.load(tmp_path / "state")


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a small checkpoint."""
    path = tmp_path_factory.mktemp("stored") / "state"
    checkpoint.save(path, Checkpoint.of(1, {"net": Classifier(SETTINGS.net)}, {}))
    return path


@settings(deadline=None, max_examples=50)
@given(data=st.data())
def test_a_checkpoint_cut_anywhere_is_unusable(stored: Path, data: st.DataObject) -> None:
    content = stored.read_bytes()
    length = data.draw(st.integers(0, len(content) - 1))
    cut = stored.with_name("cut")
    cut.write_bytes(content[:length])
    with pytest.raises(Unusable, match="is damaged"):
        checkpoint.load(cut)


@settings(deadline=None, max_examples=200)
@given(data=st.data())
def test_a_flipped_bit_is_noticed_or_changes_nothing(stored: Path, data: st.DataObject) -> None:
    content = bytearray(stored.read_bytes())
    header = 8 + int.from_bytes(content[:8], "little")
    part = data.draw(st.sampled_from([(0, header - 1), (header, len(content) - 1)]))
    content[data.draw(st.integers(*part))] ^= 1 << data.draw(st.integers(0, 7))
    flipped = stored.with_name("flipped")
    flipped.write_bytes(content)
    try:
        loaded = checkpoint.load(flipped)
    except Unusable:
        return
    original = checkpoint.load(stored)
    assert loaded is not None and original is not None and loaded.epochs_done == original.epochs_done
    assert loaded.tensors.keys() == original.tensors.keys()
    assert all(tensor.equal(original.tensors[name]) for name, tensor in loaded.tensors.items())


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (Path.unlink, "is missing; repeat the same `tenfold run`"),
        (cut_in_half, "is damaged; repeat the same `tenfold run`"),
        (of_another_version, "was written by another version of tenfold; repeat the same"),
        (of_other_nets, "holds another net than its run's settings ask for; repeat the run with --fresh"),
    ],
)
def test_unusable_weights_are_refused(tmp_path: Path, damage: Callable[[Path], None], sentence: str) -> None:
    path = tmp_path / "weights"
    save_weights(path, Classifier(SETTINGS.net))
    load_classifier(path, SETTINGS.net)
    damage(path)
    with pytest.raises(BadInput, match=sentence):
        load_classifier(path, SETTINGS.net)


def test_weights_of_other_channels_are_refused(tmp_path: Path) -> None:
    save_weights(tmp_path / "weights", Classifier(SETTINGS.net))
    with pytest.raises(BadInput, match="holds another net"):
        load_classifier(tmp_path / "weights", replace(SETTINGS.net, channels=(4, 16)))
