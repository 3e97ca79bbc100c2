"""Predefined settings, one table. What a preset leaves out has the default of `tenfold.settings`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

from tenfold.errors import BadInput

Preset = Literal["smoke", "fast", "best"]

PRESETS: Final[dict[Preset, dict[str, Any]]] = {
    # a minute or two on two cores: shows that everything works, learns little
    "smoke": {
        "folds": 2,
        "net": {"channels": [8, 16, 24]},
        "fit": {"epochs": 2},
        "light": {"channels": [8, 16, 24], "epochs": 2},
        "cgan": {"epochs": 1, "width": 8, "share": 0.1, "least_variety": 0.0},  # a few steps: the generator draws noise
        "generator": {"epochs": 1},
    },
    # two cores: a quarter of an hour with native bf16, half an hour without
    "fast": {},
    # two cores: over an hour with native bf16, three hours without
    "best": {
        "folds": 10,
        "net": {"channels": [32, 64, 64, 96, 128]},
        "fit": {"epochs": 20},
        "generator": {"epochs": 40},
        "cgan": {"cas_seeds": 3},
    },
}


def with_preset(preset: str, table: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a preset, overridden by those in `table`, as nested plain values. Raises BadInput."""
    if preset not in PRESETS:
        raise BadInput(f"preset: must be one of {', '.join(PRESETS)}, got {preset}")
    merged = {**PRESETS[preset]}  # type: ignore[index]  # checked above
    for name, value in table.items():
        preset_value = merged.get(name)
        both_tables = isinstance(value, Mapping) and isinstance(preset_value, Mapping)
        merged[name] = {**preset_value, **value} if both_tables else value
    return merged
