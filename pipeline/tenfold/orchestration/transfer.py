"""A training that travels: what it begins with goes along, and every file it writes comes home.

The machine it travels to shares nothing with this one, so it works in a temporary folder there; only the
process that holds the run's folder writes in it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from tenfold.errors import BadInput, RunFailed
from tenfold.models.weights import GENERATOR
from tenfold.orchestration import pool
from tenfold.storage import atomic
from tenfold.storage.completion import DONE
from tenfold.storage.run_folder import RunFolder
from tenfold.training.tasks import ClassifierTask, GeneratorTask

INIT: Final = "init.safetensors"  # the weights to begin with, where a training has travelled to
NOWHERE: Final = RunFolder(Path())


@dataclass(frozen=True)
class Parcel:
    """A training and the files that it begins with, by path below its run's folder."""

    task: pool.Task  # whose argument's run is nowhere
    files: Mapping[str, bytes]

    def unpacked(self, run: RunFolder) -> pool.Task:
        """The training in the folder of `run`, its files beside it."""
        write(run, self.files)
        training = replace(self.task.argument, run=run)
        if INIT in self.files:
            training = replace(training, init=run.path / INIT)
        return replace(self.task, argument=training)


@dataclass(frozen=True)
class Delivery:
    """What a training sends home: after an epoch, and when it ends."""

    record: dict[str, Any] | None  # the epoch's; None at the end
    files: dict[str, bytes]  # new or changed since the last delivery, by path below the run's folder
    gone: frozenset[str]
    failure: BadInput | RunFailed | None = None  # why it ended

    def accept(self, run: RunFolder) -> None:
        """Do to the run's folder what a training of this machine would have done, in the same order."""
        if self.record:
            run.append_epoch(self.record)
        write(run, self.files)
        for name in self.gone:
            (run.path / name).unlink(missing_ok=True)


def pack(task: pool.Task) -> Parcel:
    """A plan's training as it stands in its run's folder, the checkpoint of an earlier start included."""
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
    """Do a parcel's work in a temporary folder. The last delivery, with no record, tells how it ended."""
    name = parcel.task.name
    last: Delivery | None = None

    def work() -> None:
        nonlocal last
        with TemporaryDirectory(prefix="tenfold-", ignore_cleanup_errors=True) as home:
            run = RunFolder(Path(home))
            task = parcel.unpacked(run)
            watched = _Watched(run, name)
            failed = pool.failure(
                name, lambda: task.work(task.argument, lambda record: deliver(watched.delivery(record)))
            )
            last = watched.delivery(None, failed)

    failed = pool.failure(name, work)
    deliver(last or Delivery(None, {}, frozenset(), failed))  # only now: whoever has it may end this process


class _Watched:
    """One training's folder, and what of it has been sent home."""

    def __init__(self, run: RunFolder, name: str) -> None:
        self.run, self.name = run, name
        self.sent = read(run, name)

    def delivery(self, record: dict[str, Any] | None, failed: BadInput | RunFailed | None = None) -> Delivery:
        before, self.sent = self.sent, read(self.run, self.name)
        new = {path: data for path, data in self.sent.items() if before.get(path) != data}
        return Delivery(record, new, frozenset(before.keys() - self.sent.keys()), failed)


def read(run: RunFolder, name: str) -> dict[str, bytes]:
    """The files of one training, by path below the run's folder; none where it has not begun."""
    paths = [path for path in sorted((run.path / name).rglob("*")) if path.is_file()]
    whole = [path for path in paths if not path.name.startswith(".")]  # not what a kill left of an atomic write
    return {str(path.relative_to(run.path)): path.read_bytes() for path in whole}


def write(run: RunFolder, files: Mapping[str, bytes]) -> None:
    """The inverse of `read`: the one that declares the others whole comes last."""
    for name in sorted(files, key=lambda name: (Path(name).name == DONE, name)):
        atomic.write(run.path / name, files[name])
