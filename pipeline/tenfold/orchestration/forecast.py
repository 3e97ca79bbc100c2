"""How much of a run's training is done, and how long the rest will take."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from tenfold.storage.epoch_log import Epoch, PartOfEpoch

LEAST_SHARE: Final = 0.05  # of an epoch, before its pace counts: the first steps are slower than the rest


@dataclass(frozen=True)
class Planned:
    """A training of a run."""

    name: str  # of its folder
    kind: str  # epochs of one kind take about the same time
    epochs: int


class Forecast:
    """Built from the epochs so far and the parts of epochs that are reported in between.

    `now` is in seconds on any clock that does not jump. Between two reports, a training is taken to go on at its pace,
    so that the remaining time counts down.
    """

    def __init__(self, planned: Iterable[Planned], workers: int) -> None:
        self.planned = {training.name: training for training in planned}
        self.workers = max(1, workers)  # a cluster may have no room yet
        self.seconds: dict[str, list[float]] = {}  # kind -> seconds of each epoch
        self.epochs_left = {name: training.epochs for name, training in self.planned.items()}
        self.seconds_spent = dict.fromkeys(self.planned, 0.0)  # by training
        self.begun: dict[str, tuple[PartOfEpoch, float]] = {}  # training -> its last report, and when that came

    def add(self, epoch: Epoch, now: float) -> None:
        """Count an epoch as done."""
        name = epoch.task
        self.seconds.setdefault(self.planned[name].kind, []).append(epoch.seconds)
        self.epochs_left[name] -= 1
        self.seconds_spent[name] += epoch.seconds
        self.begun.pop(name, None)
        if self.epochs_left[name] > 0:
            self.add_part(PartOfEpoch(name, epoch.epoch + 1, epoch.epochs, share=0.0, seconds=0.0), now)

    def add_part(self, part: PartOfEpoch, now: float) -> None:
        """Note how far an epoch is."""
        self.begun[part.task] = part, now

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
        work = [
            (left - self.share_of_epoch(name, now)) * pace.get(self.planned[name].kind, unseen)
            for name, left in self.epochs_left.items()
            if left > 0
        ]
        return max(sum(work) / self.workers, *work, 0.0) if work else 0.0

    def share_done(self, now: float) -> float | None:
        """Share of all training, 0 to 1, by time rather than by epochs; None before the first steps."""
        left = self.seconds_left(now)
        if left is None:
            return None
        running = sum(part.seconds + now - came for part, came in self.begun.values())
        done = (sum(map(sum, self.seconds.values())) + running) / self.workers
        return done / (done + left) if done + left else 1.0

    def _seconds_per_epoch(self) -> dict[str, float]:
        """By kind: of its finished epochs, or else at the pace of those begun."""
        pace: dict[str, float] = {}
        for name, (part, _) in self.begun.items():
            if part.share >= LEAST_SHARE:
                pace[self.planned[name].kind] = part.seconds / part.share
        return pace | {kind: statistics.mean(seconds) for kind, seconds in self.seconds.items()}
