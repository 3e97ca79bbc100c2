"""metrics.jsonl: one line per epoch of every training; how long a run took, according to it."""

from __future__ import annotations

import errno
import json
import math
import os
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, ClassVar, Final, Literal

from tenfold.storage import atomic

EPOCHS: Final = "metrics.jsonl"

Stage = Literal["cgan", "classifier"]
AfterStep = Callable[[int, int, float], None]  # the epoch, from 1; of how many; the share of its steps that is done


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """One epoch of a training. The training loop fills in the numbers, the logger task and times."""

    stage: ClassVar[Stage]
    task: str = ""  # name of the training's folder
    epoch: int  # from 1
    epochs: int  # of this training
    seconds: float = 0.0  # since the last epoch
    ended: float = 0.0  # Unix time

    @property
    def began(self) -> float:
        """When it began, Unix time."""
        return self.ended - self.seconds

    def numbers(self) -> dict[str, float]:
        """What was measured in this epoch, by name."""
        own = {entry.name for entry in fields(self)} - {entry.name for entry in fields(Epoch)}
        return {name: value for name, value in asdict(self).items() if name in own and value is not None}


@dataclass(frozen=True, kw_only=True)
class ClassifierEpoch(Epoch):
    """An epoch of a classifier."""

    stage = "classifier"
    loss: float
    validation_accuracy: float | None = None  # on the first validation digits, without test-time shifts
    generated: int | None = None  # generated digits, if the net filters or relabels them
    left_out: int | None = None  # of these, because their label was too improbable


@dataclass(frozen=True, kw_only=True)
class GeneratorEpoch(Epoch):
    """An epoch of a conditional GAN."""

    stage = "cgan"
    loss_discriminator: float
    loss_generator: float
    score_real: float  # mean score that the discriminator gives real digits
    score_generated: float
    variety: float  # within a class, as a share of that of real digits


@dataclass(frozen=True)
class PartOfEpoch:
    """How far an epoch is. It is reported while a training runs, and not logged."""

    task: str  # name of the training's folder
    epoch: int  # the one in progress, from 1
    epochs: int  # of this training
    share: float  # of the epoch's steps, 0 to 1
    seconds: float  # since the epoch began


class EpochLog:
    """The log of one run."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / EPOCHS

    def append(self, epoch: Epoch) -> None:
        """Add a line in one write, so that lines of several processes don't mix."""
        line = _to_line(epoch)
        handle = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        try:
            written = os.write(handle, line)
        finally:
            os.close(handle)
        if written < len(line):  # a full disk raises no error here; the next start removes the incomplete line
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))

    def read(self) -> list[Epoch]:
        """All epochs, in the order in which they ended. Damaged lines are left out: a log is never fatal."""
        try:
            lines = self.path.read_text("utf-8", errors="replace").splitlines()
        except FileNotFoundError:
            return []
        return [epoch for line in lines if (epoch := _from_line(line))]

    def cut(self, task: str, stage: Stage, last: int) -> None:
        """Remove the epochs after `last` of one training. Only while no task is running."""
        kept = [one for one in self.read() if (one.task, one.stage) != (task, stage) or one.epoch <= last]
        atomic.write(self.path, b"".join(map(_to_line, kept)))


def _to_line(epoch: Epoch) -> bytes:
    row = {"task": epoch.task, "stage": epoch.stage, "epoch": epoch.epoch, "epochs": epoch.epochs}
    row |= {**epoch.numbers(), "seconds": epoch.seconds, "ended": epoch.ended}
    return json.dumps(row).encode() + b"\n"


def _from_line(line: str) -> Epoch | None:
    try:
        row: dict[str, Any] = json.loads(line)
        kind = {"cgan": GeneratorEpoch, "classifier": ClassifierEpoch}[row.pop("stage")]
        numbers = [value for name, value in row.items() if name != "task"]
        usable = all(type(value) in (int, float) and math.isfinite(value) for value in numbers)
        return kind(**row) if usable and isinstance(row["task"], str) else None
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
        return None


def seconds_by_stage(epochs: Iterable[Epoch]) -> dict[str, float]:
    """Seconds of training by stage, summed over trainings, whether they ran side by side or not."""
    total: dict[str, float] = {}
    for epoch in epochs:
        total[epoch.stage] = round(total.get(epoch.stage, 0.0) + epoch.seconds, 1)
    return total


def timeline(epochs: Iterable[Epoch]) -> list[tuple[float, Epoch]]:
    """Epochs with the second at which each began, in that order, on a clock that stops while none runs."""
    placed: list[tuple[float, Epoch]] = []
    paused, reached = 0.0, None
    for epoch in sorted(epochs, key=lambda epoch: epoch.began):
        paused += epoch.began if reached is None else max(0.0, epoch.began - reached)
        reached = max(epoch.ended, epoch.began if reached is None else reached)
        placed.append((epoch.began - paused, epoch))
    return placed


def elapsed_seconds(epochs: Iterable[Epoch]) -> float:
    """Seconds that these epochs took by the clock; what ran side by side counts once."""
    return max((start + epoch.seconds for start, epoch in timeline(epochs)), default=0.0)
