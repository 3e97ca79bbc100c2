"""How much of a run's training is done, and how long the rest will take."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from tenfold.storage.epoch_log import Epoch, PartOfEpoch

LEAST_SHARE: Final = 0.05  # of an epoch, between two reports from which its pace is taken


@dataclass(frozen=True)
class Planned:
    """A training of a run."""

    name: str  # of its folder
    kind: str  # epochs of one kind take about the same time
    epochs: int


class Forecast:
    """Built from the epochs so far and the parts of epochs that are reported in between.

    `now` is in seconds on any clock that does not jump. Between two reports, a training is taken to go on at its pace,
    and a process that is to come is taken to be starting, so that the remaining time counts down.
    """

    def __init__(self, planned: Iterable[Planned], workers: int, now: float) -> None:
        self.planned = {training.name: training for training in planned}
        self.workers = max(1, workers)  # a cluster may have no room yet
        self.seconds: dict[str, list[float]] = {}  # kind -> seconds of each epoch
        self.epochs_left = {name: training.epochs for name, training in self.planned.items()}
        self.seconds_spent = dict.fromkeys(self.planned, 0.0)  # by training
        self.begun: dict[str, tuple[PartOfEpoch, float]] = {}  # training -> its last report, and when that came
        self.first_parts: dict[str, PartOfEpoch] = {}  # training -> its first report; the steps before it are slower
        self.freed = now  # when a worker was last free
        self.start_s: float | None = None  # how long a worker takes to start a training

    def resume(self, epochs: Iterable[Epoch]) -> None:
        """Count the epochs of an earlier start as done."""
        for epoch in epochs:
            self._count(epoch)

    def add(self, epoch: Epoch, now: float) -> None:
        """Count an epoch as done, and the next one of its training as begun."""
        self._count(epoch)
        if self.epochs_left[epoch.task]:
            self.add_part(PartOfEpoch(epoch.task, epoch.epoch + 1, epoch.epochs, share=0.0, seconds=0.0), now)
        else:
            self.begun.pop(epoch.task, None)
            self.freed = now

    def add_part(self, part: PartOfEpoch, now: float) -> None:
        """Note how far an epoch is."""
        if self.start_s is None:
            self.start_s = max(0.0, now - self.freed - part.seconds)
        self.begun[part.task] = part, now
        self.first_parts.setdefault(part.task, part)

    def share_of_epoch(self, name: str, now: float) -> float:
        """How much of its current epoch a training has done by `now`, from 0 to below 1."""
        if name not in self.begun:
            return 0.0
        part, came = self.begun[name]
        pace = self._seconds_per_epoch().get(self.planned[name].kind)
        return min(part.share + (now - came) / pace, 0.99) if pace else part.share

    def seconds_left(self, now: float) -> float | None:
        """Seconds of training to come if all workers stay busy; None before the first steps.

        An epoch of a kind not seen yet counts as the mean of the kinds seen. A training takes at least as long as its
        own epochs one after the other.
        """
        pace = self._seconds_per_epoch()
        if not pace:
            return None
        unseen = statistics.mean(pace.values())
        start_s, free = self.start_s or 0.0, self.workers - len(self.begun)
        work = []
        for name, epochs in self.epochs_left.items():
            if not epochs:
                continue
            seconds = (epochs - self.share_of_epoch(name, now)) * pace.get(self.planned[name].kind, unseen)
            if name not in self.begun:
                seconds += start_s
                if free > 0:  # so it is starting now
                    free -= 1
                    seconds -= min(now - self.freed, start_s)
            work.append(seconds)
        return max(sum(work) / self.workers, *work) if work else 0.0

    def share_done(self, now: float) -> float | None:
        """Share of all training, 0 to 1, by time rather than by epochs; None before the first steps."""
        left = self.seconds_left(now)
        if left is None:
            return None
        running = sum(part.seconds + now - came for part, came in self.begun.values())
        done = (sum(map(sum, self.seconds.values())) + running) / self.workers
        return done / (done + left) if done + left else 1.0

    def _count(self, epoch: Epoch) -> None:
        self.seconds.setdefault(self.planned[epoch.task].kind, []).append(epoch.seconds)
        self.epochs_left[epoch.task] -= 1
        self.seconds_spent[epoch.task] += epoch.seconds

    def _seconds_per_epoch(self) -> dict[str, float]:
        """By kind: of its finished epochs, or else at the pace of those begun."""
        pace: dict[str, float] = {}
        for name, (part, _) in self.begun.items():
            first = self.first_parts[name]
            if part.epoch == first.epoch and part.share - first.share >= LEAST_SHARE:
                pace[self.planned[name].kind] = (part.seconds - first.seconds) / (part.share - first.share)
        return pace | {kind: statistics.mean(seconds) for kind, seconds in self.seconds.items()}
