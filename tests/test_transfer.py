"""A training on another machine learns what it would have learnt here, and everything it writes comes back."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from conftest import few_digits

from tenfold.errors import BadInput, RunFailed
from tenfold.models.classifier import Classifier
from tenfold.models.weights import save_weights
from tenfold.orchestration import transfer
from tenfold.orchestration.pool import Report, Task
from tenfold.orchestration.transfer import Delivery, Parcel
from tenfold.seeds import SeedStream
from tenfold.settings import Cgan, Compute, Fit, Net, Warp
from tenfold.storage import atomic
from tenfold.storage.completion import DONE, finished
from tenfold.storage.epoch_log import Epoch
from tenfold.storage.run_folder import CLASSIFIER, DIVERGED, GENERATOR, RATE_CUTS, VALIDATION, RunFolder
from tenfold.training.tasks import ClassifierTask, GeneratorTask, fit_classifier_task, fit_generator_task

NET = Net((4, 8))
CGAN = Cgan(share=0.25, least_variety=0, epochs=1, epoch_images=64, batch_size=32, z_dim=8, width=4)
COMPUTE = Compute("cpu", "fp32", workers=1, threads=1)
TRAIN = few_digits(160, seed=1)
CHECKPOINT = "net/classifier.checkpoint.safetensors"


@dataclass(frozen=True)
class Tasks:
    """A generator, and a classifier that learns from its digits and starts from weights outside the run."""

    generator: Task
    net: Task


def tasks_in(path: Path) -> Tasks:
    path.mkdir(exist_ok=True)
    torch.manual_seed(1)
    save_weights(path / "init", Classifier(NET))
    run, seeds = RunFolder(path), SeedStream(0, 0)
    generator = GeneratorTask(name="cgan", run=run, seeds=seeds, compute=COMPUTE, cgan=CGAN, train=TRAIN)
    net = ClassifierTask(
        name="net",
        run=run,
        seeds=seeds,
        compute=COMPUTE,
        cgan=CGAN,
        train=TRAIN,
        net=NET,
        fit=Fit(epochs=2, epoch_images=64, batch_size=32),
        warp=Warp(),
        validation=few_digits(40, seed=2),
        generator="cgan",
        non_digits=0.1,
        init=path / "init",
    )
    return Tasks(Task("cgan", fit_generator_task, generator), Task("net", fit_classifier_task, net))


@pytest.fixture
def remote(tmp_path: Path) -> Tasks:
    """Trainings to run on another machine."""
    return tasks_in(tmp_path / "remote")


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run whose trainings ran on this machine."""
    path = tmp_path_factory.mktemp("local")
    tasks = tasks_in(path)
    for task in (tasks.generator, tasks.net):
        task.work(task.argument, lambda epoch: None)
    return path


def run_remotely(task: Task) -> list[Delivery]:
    """A training's deliveries, each of which its run's folder has accepted."""
    deliveries: list[Delivery] = []

    def deliver(delivery: Delivery) -> None:
        deliveries.append(delivery)
        delivery.accept(task.argument.run)

    transfer.run_parcel(transfer.pack(task), deliver)
    return deliveries


def files(path: Path) -> dict[str, bytes]:
    return transfer.read(RunFolder(path), "cgan") | transfer.read(RunFolder(path), "net")


def epochs(path: Path) -> list[Epoch]:
    """The log, without the times."""
    return [replace(epoch, seconds=0, ended=0) for epoch in RunFolder(path).epoch_log.read()]


def test_a_remote_training_leaves_the_same_bytes_and_log(remote: Tasks, local: Path, tmp_path: Path) -> None:
    for task in (remote.generator, remote.net):
        *others, last = run_remotely(task)
        assert others and all(delivery.progress for delivery in others)
        assert last.progress is None and last.failure is None
        assert finished(task.argument.folder) is not None
    assert files(tmp_path / "remote") == files(local) and CHECKPOINT not in files(local)
    assert epochs(tmp_path / "remote") == epochs(local)


def test_a_lost_training_resumes_from_its_last_delivery(remote: Tasks, local: Path, tmp_path: Path) -> None:
    run_remotely(remote.generator)
    deliveries: list[Delivery] = []
    transfer.run_parcel(transfer.pack(remote.net), deliveries.append)
    first = next(delivery for delivery in deliveries if isinstance(delivery.progress, Epoch))
    first.accept(remote.net.argument.run)  # the others were lost with their node
    assert CHECKPOINT in files(tmp_path / "remote")
    reported = [delivery.progress for delivery in run_remotely(remote.net)]
    assert [progress.epoch for progress in reported if isinstance(progress, Epoch)] == [2]
    assert files(tmp_path / "remote") == files(local)
    assert epochs(tmp_path / "remote") == epochs(local)


def test_only_a_trainings_own_files_travel(remote: Tasks, tmp_path: Path) -> None:
    folder = tmp_path / "remote"
    run_remotely(remote.generator)
    atomic.write(folder / "net" / RATE_CUTS, b"[]")
    atomic.write(folder / "net" / f".{RATE_CUTS}.x7", b"[")  # left by a killed write
    atomic.write(folder / "other" / CLASSIFIER, b"w")
    parcel = transfer.pack(remote.net)
    assert set(parcel.files) == {f"net/{RATE_CUTS}", f"cgan/{GENERATOR}", transfer.INIT}


def test_paths_are_those_of_the_other_machine(remote: Tasks, tmp_path: Path) -> None:
    run_remotely(remote.generator)
    parcel = transfer.pack(remote.net)
    assert parcel.task.argument.init is None and parcel.task.argument.run == transfer.NOWHERE
    unpacked = parcel.unpacked(RunFolder(tmp_path / "there")).argument
    assert unpacked.folder == tmp_path / "there/net" and unpacked.init == tmp_path / "there" / transfer.INIT
    assert unpacked.init.read_bytes() == remote.net.argument.init.read_bytes()


def test_the_file_that_declares_completion_is_written_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    monkeypatch.setattr(atomic, "write", lambda path, data: written.append(path.name))
    transfer.write(RunFolder(tmp_path), {f"net/{name}": b"" for name in (VALIDATION, DONE, GENERATOR)})
    assert written == [VALIDATION, GENERATOR, DONE]  # by name it would be the second


def diverge(argument: GeneratorTask, report: Report) -> None:
    atomic.write(argument.folder / DIVERGED, b"{}")
    raise RunFailed("it broke")


def refuse(argument: GeneratorTask, report: Report) -> None:
    atomic.write(argument.folder / DIVERGED, b"{}")
    raise BadInput("it broke")


def run_out_of_disk(argument: GeneratorTask, report: Report) -> None:
    atomic.write(argument.folder / DIVERGED, b"{}")
    raise OSError("it broke")


@pytest.mark.parametrize(
    ("work", "kind", "sentence"),
    [
        (diverge, RunFailed, "cgan: it broke"),
        (refuse, BadInput, "it broke"),
        (run_out_of_disk, RunFailed, "cgan: it broke; make room or fix the cause, and the same command continues"),
    ],
)
def test_a_failure_comes_back_with_the_files(
    work: object, kind: type[Exception], sentence: str, remote: Tasks, tmp_path: Path
) -> None:
    (delivery,) = run_remotely(replace(remote.generator, work=work))  # type: ignore[arg-type]
    assert type(delivery.failure) is kind and str(delivery.failure) == sentence
    assert (tmp_path / "remote/cgan" / DIVERGED).exists()


def test_a_machine_without_room_reports_a_failure(remote: Tasks, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(parcel: Parcel, run: RunFolder) -> Task:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Parcel, "unpacked", full)
    (delivery,) = run_remotely(remote.generator)
    assert isinstance(delivery.failure, RunFailed) and "No space left" in str(delivery.failure)
