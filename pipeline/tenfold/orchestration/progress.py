"""What a person sees while a run works: one line per finished training, and bars on a terminal."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn
from rich.table import Column

from tenfold.storage.epoch_log import ClassifierEpoch, Epoch, GeneratorEpoch
from tenfold.storage.run_folder import TENSORBOARD, RunFolder


@dataclass(frozen=True)
class Planned:
    """A training of a run."""

    name: str  # of its folder
    kind: str  # epochs of one kind take about the same time
    epochs: int


class Forecast:
    """How much is done and how long the rest will take, from the epochs so far."""

    def __init__(self, planned: Iterable[Planned], workers: int) -> None:
        self.planned = {training.name: training for training in planned}
        self.workers = max(1, workers)  # a cluster may have no room yet
        self.seconds: dict[str, list[float]] = {}  # kind -> seconds of each epoch
        self.epochs_left = {name: training.epochs for name, training in self.planned.items()}
        self.seconds_spent = dict.fromkeys(self.planned, 0.0)  # by training

    def add(self, epoch: Epoch) -> None:
        """Count an epoch as done."""
        name = epoch.task
        self.seconds.setdefault(self.planned[name].kind, []).append(epoch.seconds)
        self.epochs_left[name] -= 1
        self.seconds_spent[name] += epoch.seconds

    def seconds_left(self) -> float | None:
        """Seconds of training to come if all workers stay busy; None before the first epoch.

        An epoch of a kind not seen yet counts as the mean of the kinds seen. A training takes at least as long as its
        own epochs one after the other.
        """
        if not self.seconds:
            return None
        mean = {kind: statistics.mean(seconds) for kind, seconds in self.seconds.items()}
        unseen = statistics.mean(mean.values())
        work = [left * mean.get(self.planned[name].kind, unseen) for name, left in self.epochs_left.items()]
        return max(sum(work) / self.workers, *work)

    def share_done(self) -> float:
        """Share of all training, 0 to 1, by time rather than by epochs."""
        left = self.seconds_left()
        if left is None:
            return 0.0
        done = sum(map(sum, self.seconds.values())) / self.workers
        return done / (done + left) if done + left else 1.0


class Display:
    """Bars on stderr for the whole run and for each training in progress; none if stderr is not a terminal."""

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
        self.active: dict[str, TaskID] = {}
        self._show_whole()

    def __enter__(self) -> Display:
        self.bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bars.stop()

    def epoch(self, epoch: Epoch) -> None:
        """Show one epoch."""
        name = epoch.task
        self.forecast.add(epoch)
        if name not in self.active:
            self.active[name] = self.bars.add_task(name, total=epoch.epochs, note="")
        self.bars.update(self.active[name], completed=epoch.epoch, note=_note(epoch))
        self._show_whole()
        if epoch.epoch == epoch.epochs:
            self.bars.remove_task(self.active.pop(name))
            epochs = f"{epoch.epochs} epoch{'s' * (epoch.epochs > 1)}"
            print(f"{name}: {epochs} in {self.forecast.seconds_spent[name]:.0f} s, {_numbers(epoch)}", flush=True)

    def _show_whole(self) -> None:
        left = self.forecast.seconds_left()
        note = "" if left is None else f"{_clock(left)} left"
        self.bars.update(self.whole, completed=self.forecast.share_done(), note=note)


@contextmanager
def watched(
    planned: Sequence[Planned], run: RunFolder, workers: int, tensorboard: bool
) -> Iterator[Callable[[Epoch], None]]:
    """The function to call with each epoch while the `planned` trainings of a run go on."""
    names = {training.name for training in planned}
    done = [epoch for epoch in run.epoch_log.read() if epoch.task in names]
    with ExitStack() as stack:
        watchers = [stack.enter_context(Display(planned, done, workers)).epoch]
        if tensorboard:
            from tenfold.orchestration.tensorboard import EventFiles

            watchers.append(stack.enter_context(EventFiles(run.path / TENSORBOARD, done)).epoch)

        def report(epoch: Epoch) -> None:
            for watcher in watchers:
                watcher(epoch)

        yield report


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _note(epoch: Epoch) -> str:
    if isinstance(epoch, GeneratorEpoch):
        return f"variety {epoch.variety:.2f}"
    assert isinstance(epoch, ClassifierEpoch)
    accuracy = epoch.validation_accuracy
    return f"loss {epoch.loss:.3f}" if accuracy is None else f"{100 * accuracy:.2f} %"


def _numbers(epoch: Epoch) -> str:
    return ", ".join(
        f"{name.replace('_', ' ')} {value:.4f}"
        for name, value in epoch.numbers().items()
        if name.startswith(("loss", "validation", "variety"))
    )
