"""A training that travels learns what it would have learnt at home, and everything it wrote comes home."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import few_digits

from tenfold.errors import BadInput, RunFailed
from tenfold.models.classifier import Classifier
from tenfold.models.weights import save_weights
from tenfold.orchestration import pool, transfer
from tenfold.orchestration.transfer import Delivery, Parcel
from tenfold.seeds import SeedStream
from tenfold.settings import Cgan, Compute, Fit, Net, Settings
from tenfold.storage import atomic
from tenfold.storage.completion import DONE, finished
from tenfold.storage.run_folder import RunFolder
from tenfold.training.tasks import ClassifierTask, GeneratorTask, fit_classifier_task, fit_generator_task

SETTINGS = Settings(
    net=Net((4, 8)),
    fit=Fit(epochs=2, epoch_images=64, batch_size=32),
    cgan=Cgan(share=0.25, least_variety=0, epochs=1, epoch_images=64, batch_size=32, z_dim=8, width=4),
    compute=Compute("cpu", "fp32", 1, 1),
)
CHECKPOINT = "net/classifier.checkpoint.safetensors"


def tasks(path: Path) -> list[pool.Task]:
    """A generator, and a classifier that is shown its digits and begins with weights from elsewhere."""
    path.mkdir(exist_ok=True)
    torch.manual_seed(1)
    save_weights(path / "begin", Classifier(SETTINGS.net))
    run, train = RunFolder(path), few_digits(160, seed=1)
    stream, validation = SeedStream(0, 0), few_digits(40, seed=2)
    drawer = GeneratorTask(SETTINGS, stream, train, "drawer", run)
    reader = ClassifierTask(SETTINGS, stream, train, validation, "drawer", path / "begin", "net", run)
    return [pool.Task("drawer", fit_generator_task, drawer), pool.Task("net", fit_classifier_task, reader)]


def travelled(task: pool.Task) -> list[Delivery]:
    """Its deliveries, accepted at home one by one."""
    deliveries: list[Delivery] = []

    def deliver(delivery: Delivery) -> None:
        deliveries.append(delivery)
        delivery.accept(task.argument.run)

    transfer.run_parcel(transfer.pack(task), deliver)
    return deliveries


def files(path: Path) -> dict[str, bytes]:
    return transfer.read(RunFolder(path), "drawer") | transfer.read(RunFolder(path), "net")


def logged(path: Path) -> list[tuple[str, int, float]]:
    return [(line["task"], line["epoch"], line.get("loss", 0.0)) for line in RunFolder(path).epochs()]


@pytest.fixture
def at_home(tmp_path: Path) -> Path:
    for task in tasks(tmp_path / "home"):
        task.work(task.argument, lambda record: None)
    return tmp_path / "home"


def test_a_training_that_travelled_leaves_the_bytes_and_the_log_of_one_that_stayed(
    at_home: Path, tmp_path: Path
) -> None:
    for task in tasks(tmp_path / "away"):
        deliveries = travelled(task)
        assert [bool(delivery.record) for delivery in deliveries] == [True] * (len(deliveries) - 1) + [False]
        assert finished(task.argument.folder) is not None
    assert files(tmp_path / "away") == files(at_home)
    assert logged(tmp_path / "away") == logged(at_home)
    assert CHECKPOINT not in files(at_home)


def test_one_that_was_lost_goes_on_from_the_epoch_that_came_home(at_home: Path, tmp_path: Path) -> None:
    drawer, reader = tasks(tmp_path / "away")
    travelled(drawer)
    first: list[Delivery] = []
    transfer.run_parcel(transfer.pack(reader), first.append)
    first[0].accept(reader.argument.run)  # and what came after was lost with its node
    assert CHECKPOINT in files(tmp_path / "away")
    again = travelled(reader)
    assert [delivery.record["epoch"] for delivery in again if delivery.record] == [2]
    assert files(tmp_path / "away") == files(at_home)
    assert logged(tmp_path / "away") == logged(at_home)


def test_nothing_but_its_own_files_travels_and_no_path_of_this_machine(tmp_path: Path) -> None:
    drawer, reader = tasks(tmp_path / "away")
    travelled(drawer)
    atomic.write(tmp_path / "away/net/rate_cuts.json", b"[]")
    atomic.write(tmp_path / "away/net/.rate_cuts.json.x7", b"[")  # what a kill leaves
    atomic.write(tmp_path / "away/other/weights", b"w")
    packed = transfer.pack(reader)
    assert set(packed.files) == {"net/rate_cuts.json", "drawer/generator.safetensors", "init.safetensors"}
    assert packed.task.argument.init is None and packed.task.argument.run.path == Path()
    there = packed.unpacked(RunFolder(tmp_path / "there")).argument
    assert there.folder == tmp_path / "there/net" and there.init == tmp_path / "there/init.safetensors"


def test_the_file_that_declares_the_others_whole_is_written_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[str] = []
    monkeypatch.setattr(atomic, "write", lambda path, data: written.append(path.name))
    transfer.write(RunFolder(tmp_path), {f"net/{name}": b"" for name in ("answers.npz", DONE, "weights")})
    assert written == ["answers.npz", "weights", DONE]


@pytest.mark.parametrize(
    ("error", "told", "sentence"),
    [
        (RunFailed, RunFailed, "drawer: it broke"),
        (BadInput, BadInput, "it broke"),
        (OSError, RunFailed, "drawer: it broke; make room or mend it, and the same command continues"),
    ],
)
def test_what_it_raises_comes_home_with_what_it_wrote(
    error: type[Exception], told: type[Exception], sentence: str, tmp_path: Path
) -> None:
    def work(argument: GeneratorTask, report: Any) -> None:
        atomic.write(argument.folder / "diverged.json", b"{}")
        raise error("it broke")

    (delivery,) = travelled(replace(tasks(tmp_path)[0], work=work))
    assert type(delivery.failure) is told and str(delivery.failure) == sentence
    assert (tmp_path / "drawer/diverged.json").exists()


def test_a_machine_without_room_is_a_failure_and_no_silence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Parcel, run: RunFolder) -> pool.Task:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Parcel, "unpacked", full)
    (delivery,) = travelled(tasks(tmp_path)[0])
    assert isinstance(delivery.failure, RunFailed) and "No space left" in str(delivery.failure)
