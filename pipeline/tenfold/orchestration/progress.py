"""What a person sees while a run works: bars on a terminal or in a notebook, lines elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from html import escape
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Protocol

from tenfold.orchestration.forecast import Forecast, Planned
from tenfold.storage.epoch_log import ClassifierEpoch, Epoch, GeneratorEpoch, PartOfEpoch
from tenfold.terminal import Verbosity, console, note, verbosity

if TYPE_CHECKING:
    from rich.table import Table

NOTEBOOK_EVERY_S: Final = 0.3  # between two updates of a notebook's bars


@dataclass(frozen=True)
class Row:
    """A bar."""

    label: str
    share: float | None  # 0 to 1; None where it is unknown: the bar moves all the same
    note: str


class Display:
    """Shows what a run is doing: the current step by name, or its trainings with their remaining time.

    Use it in `with`. Bars appear on stderr if that is a terminal, or below a notebook's cell. Elsewhere, each step and
    each finished training is one line.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()  # bars are drawn by a thread of their own
        self._doing, self._since = "starting", time.monotonic()
        self._forecast: Forecast | None = None
        self._latest: dict[str, str] = {}  # numbers of the last epoch, by training
        self._bars: _Bars | None = None
        self._stack = ExitStack()

    def __enter__(self) -> Display:
        err = console(stderr=True)
        if verbosity() == Verbosity.QUIET:
            return self
        if err.is_jupyter:
            self._bars = self._stack.enter_context(_NotebookBars(self))
        elif err.is_terminal and not err.is_dumb_terminal:
            self._bars = self._stack.enter_context(_TerminalBars(self))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def step(self, doing: str) -> None:
        """Show what is done from here on, outside of training."""
        with self._lock:
            self._doing, self._since, self._forecast = doing, time.monotonic(), None
        if self._bars:
            self._bars.changed()
        else:
            note(doing)

    def train(self, planned: Iterable[Planned], done: Iterable[Epoch], workers: int) -> None:
        """Show the `planned` trainings from here on; epochs of an earlier start are `done`."""
        now = time.monotonic()
        forecast = Forecast(planned, workers, now)
        forecast.resume(done)
        with self._lock:
            self._doing, self._since, self._forecast = "training", now, forecast
        if self._bars:
            self._bars.changed()

    def report(self, progress: Epoch | PartOfEpoch) -> None:
        """Show what a training reports."""
        forecast, now = self._forecast, time.monotonic()
        assert forecast is not None, "report() comes after train()"
        with self._lock:
            if isinstance(progress, PartOfEpoch):
                forecast.add_part(progress, now)
            else:
                forecast.add(progress, now)
                self._latest[progress.task] = _headline(progress)
        if isinstance(progress, Epoch):
            self._print(progress, forecast.seconds_spent[progress.task])
        if self._bars:
            self._bars.changed()

    def rows(self) -> list[Row]:
        """The bars as of now: the step, or the whole training and each net in progress."""
        with self._lock:
            forecast, now = self._forecast, time.monotonic()
            if forecast is None:
                return [Row(self._doing, None, clock(now - self._since))]
            share, left = forecast.share_done(now), forecast.seconds_left(now)
            if share is None or left is None:
                doing = self._doing if forecast.begun else "starting to train"
                whole = Row(doing, None, clock(now - self._since))
            else:
                remaining = f"{clock(left)} left" if left >= 0.5 else "nearly done"
                whole = Row(self._doing, share, f"{100 * share:.0f} %, {remaining}")
            return [whole, *(self._row(part, forecast, now) for part, _ in forecast.begun.values())]

    def _row(self, part: PartOfEpoch, forecast: Forecast, now: float) -> Row:
        share = (part.epoch - 1 + forecast.share_of_epoch(part.task, now)) / part.epochs
        numbers = self._latest.get(part.task)
        return Row(part.task, share, f"epoch {part.epoch}/{part.epochs}" + (f", {numbers}" if numbers else ""))

    def _print(self, epoch: Epoch, seconds: float) -> None:
        """One line for a finished training; with --verbose one for each epoch as well."""
        if verbosity() == Verbosity.VERBOSE:
            note(f"{epoch.task}, epoch {epoch.epoch} of {epoch.epochs}: {epoch.seconds:.1f} s, {_numbers(epoch)}")
        if epoch.epoch == epoch.epochs:
            epochs = f"{epoch.epochs} epoch{'s' * (epoch.epochs > 1)}"
            note(f"{epoch.task}: {epochs} in {seconds:.0f} s, {_numbers(epoch)}")


class _Bars(Protocol):
    def changed(self) -> None:
        """There is something new to draw."""


class _TerminalBars:
    """Bars at the bottom of a terminal, drawn again several times a second; printed lines appear above them."""

    def __init__(self, display: Display) -> None:
        from rich.live import Live

        # Standard output passes through the bars only where both are one terminal: otherwise it belongs to a file.
        self.live = Live(
            console=console(stderr=True),
            get_renderable=lambda: _grid(display.rows()),
            refresh_per_second=8,
            transient=True,
            redirect_stdout=sys.stdout.isatty(),
        )

    def __enter__(self) -> _TerminalBars:
        self.live.start(refresh=True)
        return self

    def __exit__(self, *error: object) -> None:
        self.live.stop()

    def changed(self) -> None:
        """Nothing to do: they are drawn again anyway."""


def _grid(rows: Sequence[Row]) -> Table:
    from rich.progress_bar import ProgressBar
    from rich.table import Table

    grid = Table.grid(padding=(0, 1), expand=True)
    grid.add_column(no_wrap=True, min_width=16)  # as most names, so that the bars seldom change their length
    grid.add_column(ratio=1, min_width=8)
    grid.add_column(no_wrap=True, min_width=25)
    for row in rows:
        bar = ProgressBar(total=1.0, completed=row.share or 0.0, pulse=row.share is None)
        grid.add_row(row.label, bar, row.note)
    return grid


class _NotebookBars:
    """One output below a notebook's cell, which is replaced as the run goes on. Needs no widgets."""

    def __init__(self, display: Display) -> None:
        self.display, self.began, self.drawn = display, time.monotonic(), 0.0
        self.handle: Any = None

    def __enter__(self) -> _NotebookBars:
        from IPython.display import HTML, display

        self.handle = display(HTML(_html(self.display.rows())), display_id=True)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: object) -> None:
        ended = "stopped after" if kind else "finished in"
        self._show(f"<div>{ended} {clock(time.monotonic() - self.began)}</div>")

    def changed(self) -> None:
        """Draw again, unless that was done just now."""
        if time.monotonic() - self.drawn >= NOTEBOOK_EVERY_S:
            self._show(_html(self.display.rows()))

    def _show(self, html: str) -> None:
        from IPython.display import HTML

        self.drawn = time.monotonic()
        self.handle.update(HTML(html))


def _html(rows: Sequence[Row]) -> str:
    cell = '<td style="text-align: left; white-space: nowrap">'
    lines = []
    for row in rows:
        value = "" if row.share is None else f' value="{row.share:.4f}"'  # without a value, browsers animate the bar
        bar = f'<progress max="1"{value} style="width: 16em"></progress>'
        lines.append(f"<tr>{cell}{escape(row.label)}</td>{cell}{bar}</td>{cell}{escape(row.note)}</td></tr>")
    return f"<table>{''.join(lines)}</table>"


def clock(seconds: float) -> str:
    """A duration as 1:05, or 1:02:05 from one hour on."""
    minutes, rest = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _headline(epoch: Epoch) -> str:
    """The number of an epoch that says most."""
    if isinstance(epoch, GeneratorEpoch):
        return f"variety {epoch.variety:.2f}"
    assert isinstance(epoch, ClassifierEpoch)
    accuracy = epoch.validation_accuracy
    return f"training loss {epoch.loss:.3f}" if accuracy is None else f"accuracy {100 * accuracy:.2f} %"


def _numbers(epoch: Epoch) -> str:
    """An epoch's numbers in words. Variety is within a digit's class, as a share of that of real digits."""
    if isinstance(epoch, GeneratorEpoch):
        return (
            f"discriminator loss {epoch.loss_discriminator:.3f}, generator loss {epoch.loss_generator:.3f}, "
            f"variety {epoch.variety:.2f}"
        )
    assert isinstance(epoch, ClassifierEpoch)
    accuracy = epoch.validation_accuracy
    return f"training loss {epoch.loss:.3f}" + (
        "" if accuracy is None else f", validation accuracy {100 * accuracy:.2f} %"
    )
