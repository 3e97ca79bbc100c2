"""Where a run's time went, from the log of its epochs: each line has its length and when it ended, in seconds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

Epoch = Mapping[str, Any]


def by_stage(epochs: Iterable[Epoch]) -> dict[str, float]:
    """Seconds of fitting by stage, summed over trainings, side by side or not."""
    total: dict[str, float] = {}
    for line in epochs:
        total[line["stage"]] = round(total.get(line["stage"], 0.0) + line["seconds"], 1)
    return total


def on_own_clock(epochs: Iterable[Epoch]) -> list[tuple[float, Epoch]]:
    """Epochs with the second at which each began, in that order, on a clock that stands still where none ran."""
    placed: list[tuple[float, Epoch]] = []
    stood, reached = 0.0, None
    for line in sorted(epochs, key=_began):
        began = _began(line)
        stood += began if reached is None else max(0.0, began - reached)
        reached = max(line["ended"], began if reached is None else reached)
        placed.append((began - stood, line))
    return placed


def covered(epochs: Iterable[Epoch]) -> float:
    """Seconds on the clock that these epochs took, what ran side by side counted once."""
    return max((begin + line["seconds"] for begin, line in on_own_clock(epochs)), default=0.0)


def _began(line: Epoch) -> float:
    return line["ended"] - line["seconds"]
