"""What a person sees while a run works: a line a finished training, and bars where there is a terminal."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn
from rich.table import Column

from tenfold.storage.run_folder import TENSORBOARD, RunFolder

Epoch = Mapping[str, Any]


@dataclass(frozen=True)
class Planned:
    """A training that a run consists of."""

    name: str  # of its folder
    kind: str  # trainings of one kind take about as long an epoch
    epochs: int


class Forecast:
    """How much is done and how long the rest takes, from the epochs so far."""

    def __init__(self, planned: Iterable[Planned], workers: int) -> None:
        self.planned = {training.name: training for training in planned}
        self.workers = max(1, workers)  # a cluster may have no room yet
        self.took: dict[str, list[float]] = {}  # kind -> seconds of each epoch
        self.left = {name: training.epochs for name, training in self.planned.items()}
        self.spent = dict.fromkeys(self.planned, 0.0)  # seconds, by training

    def add(self, epoch: Epoch) -> None:
        """Take an epoch as done."""
        name = epoch["task"]
        self.took.setdefault(self.planned[name].kind, []).append(epoch["seconds"])
        self.left[name] -= 1
        self.spent[name] += epoch["seconds"]

    def seconds_left(self) -> float | None:
        """Of training, with all workers busy to the end; None before the first epoch.

        An epoch of a kind not seen yet counts as the mean of the kinds seen, and no training is faster than its
        own epochs one after the other.
        """
        if not self.took:
            return None
        mean = {kind: statistics.mean(seconds) for kind, seconds in self.took.items()}
        unseen = statistics.mean(mean.values())
        work = [left * mean.get(self.planned[name].kind, unseen) for name, left in self.left.items()]
        return max(sum(work) / self.workers, *work)

    def share_done(self) -> float:
        """Of all training, 0 to 1, by time rather than by epochs."""
        left = self.seconds_left()
        if left is None:
            return 0.0
        done = sum(map(sum, self.took.values())) / self.workers
        return done / (done + left) if done + left else 1.0


class Display:
    """Bars on stderr for the whole and for each training under way, nothing where that is no terminal."""

    def __init__(self, planned: Iterable[Planned], done: Iterable[Epoch], workers: int) -> None:
        self.forecast = Forecast(planned, workers)
        for epoch in done:
            self.forecast.add(epoch)
        console = Console(stderr=True)
        self.bars = Progress(
            TextColumn("{task.description}", table_column=Column(no_wrap=True)),
            BarColumn(bar_width=None, table_column=Column(ratio=1, min_width=4)),
            TaskProgressColumn(),
            TextColumn("{task.fields[note]}", table_column=Column(no_wrap=True)),
            console=console,
            transient=True,
            expand=True,
            disable=not console.is_terminal,
        )
        self.whole = self.bars.add_task("all", total=1.0, note="")
        self.under_way: dict[str, TaskID] = {}
        self._show_whole()

    def __enter__(self) -> Display:
        self.bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bars.stop()

    def epoch(self, record: Epoch) -> None:
        """Show one epoch's record."""
        name = record["task"]
        self.forecast.add(record)
        if name not in self.under_way:
            self.under_way[name] = self.bars.add_task(name, total=record["epochs"], note="")
        self.bars.update(self.under_way[name], completed=record["epoch"], note=_note(record))
        self._show_whole()
        if record["epoch"] == record["epochs"]:
            self.bars.remove_task(self.under_way.pop(name))
            epochs = f"{record['epochs']} epoch{'s' * (record['epochs'] > 1)}"
            print(f"{name}: {epochs} in {self.forecast.spent[name]:.0f} s, {_numbers(record)}", flush=True)

    def _show_whole(self) -> None:
        left = self.forecast.seconds_left()
        note = "" if left is None else f"{_clock(left)} left"
        self.bars.update(self.whole, completed=self.forecast.share_done(), note=note)


@contextmanager
def watched(
    planned: Sequence[Planned], run: RunFolder, workers: int, tensorboard: bool
) -> Iterator[Callable[[dict[str, Any]], None]]:
    """What is to be called with each epoch's record while the `planned` trainings of a run go on."""
    names = {training.name for training in planned}
    done = [line for line in run.epochs() if line["task"] in names]
    with ExitStack() as stack:
        seen_by = [stack.enter_context(Display(planned, done, workers)).epoch]
        if tensorboard:
            from tenfold.orchestration.tensorboard import EventFiles

            seen_by.append(stack.enter_context(EventFiles(run.path / TENSORBOARD, done)).epoch)

        def report(record: dict[str, Any]) -> None:
            for see in seen_by:
                see(record)

        yield report


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _note(record: Epoch) -> str:
    if "validation_accuracy" in record:
        return f"{100 * record['validation_accuracy']:.2f} %"
    return f"variety {record['variety']:.2f}" if "variety" in record else f"loss {record['loss']:.3f}"


def _numbers(record: Epoch) -> str:
    return ", ".join(
        f"{name.replace('_', ' ')} {value:.4f}"
        for name, value in record.items()
        if name.startswith(("loss", "validation", "variety"))
    )
