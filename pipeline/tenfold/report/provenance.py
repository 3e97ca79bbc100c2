"""When a run was trained, and from which preset: both from what its folder records."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from tenfold.presets import PRESETS, Preset
from tenfold.settings import Settings, differences, from_table, to_table
from tenfold.storage.epoch_log import Epoch

NOT_OF_A_PRESET: Final = ("seed", "data", "compute")  # what is drawn, from which digits, on what machine
MAX_NAMED: Final = 3  # changes from a preset that are spelled out
MAX_CHANGES: Final = 8  # with more, settings are custom


def training_period(epochs: Sequence[Epoch]) -> tuple[datetime, datetime]:
    """When the first epoch of a run began and the last one ended, UTC. `epochs` is not empty."""
    first, last = min(epoch.began for epoch in epochs), max(epoch.ended for epoch in epochs)
    return datetime.fromtimestamp(first, UTC), datetime.fromtimestamp(last, UTC)


def period_in_words(began: datetime, ended: datetime) -> str:
    """`27 November 2026, 23:25 to 23:47 UTC`."""
    start, end = (f"{day.day} {day:%B %Y, %H:%M}" for day in (began, ended))
    if start == end:
        return f"{end} UTC"
    return f"{start} to {f'{ended:%H:%M}' if began.date() == ended.date() else end} UTC"


def nearest_preset(settings: Settings) -> tuple[Preset, list[str]]:
    """The preset that settings equal or are nearest to, and what differs: `fit.epochs is 4 instead of 12`.

    A run records its settings and not the word after --preset, so this compares them with the presets of this
    version.
    """
    own = _comparable(settings)
    changes = {name: differences(own, _comparable(from_table(table))) for name, table in PRESETS.items()}
    nearest = min(changes, key=lambda name: len(changes[name]))
    return nearest, changes[nearest]


def preset_in_words(preset: Preset, changes: Sequence[str]) -> str:
    """`preset fast`, `preset fast, but fit.epochs is 4 instead of 12`, or `custom`, with its nearest preset."""
    if not changes:
        return f"preset {preset}"
    if len(changes) <= MAX_NAMED:
        return f"preset {preset}, but {', '.join(changes)}"
    if len(changes) <= MAX_CHANGES:
        return f"preset {preset} with {len(changes)} changes"
    return f"custom: {len(changes)} settings differ from the nearest preset, {preset}"


def _comparable(settings: Settings) -> dict[str, Any]:
    return {name: value for name, value in to_table(settings).items() if name not in NOT_OF_A_PRESET}
