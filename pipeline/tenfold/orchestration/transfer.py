"""A training that runs on another machine: its inputs travel with it, and every file it writes comes back.

That machine shares nothing with this one, so the training works in a temporary folder there. Only the process that
holds the run's folder writes in it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from tenfold.errors import BadInput, RunFailed
from tenfold.orchestration import pool
from tenfold.storage import atomic
from tenfold.storage.completion import DONE
from tenfold.storage.epoch_log import Epoch, PartOfEpoch
from tenfold.storage.run_folder import GENERATOR, RunFolder
from tenfold.training.tasks import ClassifierTask, GeneratorTask

INIT: Final = "init.safetensors"  # the initial weights, on the other machine
NOWHERE: Final = RunFolder(Path())


@dataclass(frozen=True)
class Parcel:
    """A training and its input files, by path below its run's folder."""

    task: pool.Task  # the `run` of its argument is NOWHERE
    files: Mapping[str, bytes]

    def unpacked(self, run: RunFolder) -> pool.Task:
        """The training in the folder of `run`, with its files."""
        write(run, self.files)
        training = replace(self.task.argument, run=run)
        if INIT in self.files:
            training = replace(training, init=run.path / INIT)
        return replace(self.task, argument=training)


@dataclass(frozen=True)
class Delivery:
    """What a training sends back after each epoch, now and then within one, and when it ends."""

    progress: Epoch | PartOfEpoch | None  # None at the end
    files: dict[str, bytes]  # new or changed since the last delivery, by path below the run's folder
    removed: frozenset[str]
    failure: BadInput | RunFailed | None = None  # why it ended

    def accept(self, run: RunFolder) -> None:
        """Do to the run's folder what a training on this machine would have done, in the same order."""
        if isinstance(self.progress, Epoch):
            run.epoch_log.append(self.progress)
        write(run, self.files)
        for name in self.removed:
            (run.path / name).unlink(missing_ok=True)


def pack(task: pool.Task) -> Parcel:
    """A plan's training with its inputs, including the checkpoint of an earlier start."""
    training: GeneratorTask | ClassifierTask = task.argument
    files = read(training.run, training.name)
    if isinstance(training, ClassifierTask):
        if training.generator:
            name = f"{training.generator}/{GENERATOR}"
            files[name] = (training.run.path / name).read_bytes()
        if training.init:
            files[INIT] = training.init.read_bytes()
            training = replace(training, init=None)
    return Parcel(replace(task, argument=replace(training, run=NOWHERE)), files)


def run_parcel(parcel: Parcel, deliver: Callable[[Delivery], None]) -> None:
    """Do a parcel's work in a temporary folder. The last delivery, without progress, says how it ended."""
    name = parcel.task.name
    last: Delivery | None = None

    def work() -> None:
        nonlocal last
        with TemporaryDirectory(prefix="tenfold-", ignore_cleanup_errors=True) as home:
            run = RunFolder(Path(home))
            task = parcel.unpacked(run)
            outbox = _Outbox(run, name)
            error = pool.failure(
                name, lambda: task.work(task.argument, lambda progress: deliver(outbox.delivery(progress)))
            )
            last = outbox.delivery(None, error)

    error = pool.failure(name, work)
    deliver(last or Delivery(None, {}, frozenset(), error))  # at the very end: the receiver may kill this process


class _Outbox:
    """One training's folder, and which of its files have been sent back."""

    def __init__(self, run: RunFolder, name: str) -> None:
        self.run, self.name = run, name
        self.sent = read(run, name)

    def delivery(self, progress: Epoch | PartOfEpoch | None, error: BadInput | RunFailed | None = None) -> Delivery:
        if isinstance(progress, PartOfEpoch):
            return Delivery(progress, {}, frozenset())
        before, self.sent = self.sent, read(self.run, self.name)
        new = {path: data for path, data in self.sent.items() if before.get(path) != data}
        return Delivery(progress, new, frozenset(before.keys() - self.sent.keys()), error)


def read(run: RunFolder, name: str) -> dict[str, bytes]:
    """The files of one training, by path below the run's folder; empty where it has not begun."""
    paths = [path for path in sorted((run.path / name).rglob("*")) if path.is_file()]
    complete = [path for path in paths if not path.name.startswith(".")]  # a killed atomic write leaves a hidden file
    return {str(path.relative_to(run.path)): path.read_bytes() for path in complete}


def write(run: RunFolder, files: Mapping[str, bytes]) -> None:
    """The inverse of `read`; done.json, which declares the others complete, comes last."""
    for name in sorted(files, key=lambda name: (Path(name).name == DONE, name)):
        atomic.write(run.path / name, files[name])
