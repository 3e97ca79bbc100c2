"""Predefined settings, one table. What a preset leaves out has the default of `tenfold.settings`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

from tenfold.errors import BadInput

Preset = Literal["demo", "fast", "best", "smoke"]

PRESETS: Final[dict[Preset, dict[str, Any]]] = {
    # two cores: about a minute on the sample's 4,000 digits
    "demo": {
        "folds": 3,
        "net": {"channels": [12, 24, 32, 64]},
        "fit": {"epochs": 13},
        "light": {"channels": [12, 24, 32, 64], "epochs": 13},
        "cgan": {"share": 0.0, "batch_size": 64},  # in a minute a fold's generator learns no digit worth training on
        "generator": {"epochs": 8},
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
    # two cores: half a minute on the sample. For tests: the nets learn little, and the generator draws noise
    "smoke": {
        "folds": 2,
        "net": {"channels": [8, 16, 24]},
        "fit": {"epochs": 2},
        "light": {"channels": [8, 16, 24], "epochs": 2},
        "cgan": {"epochs": 1, "width": 8, "share": 0.1, "least_variety": 0.0},
        "generator": {"epochs": 1},
    },
}


def preset_for(source: str) -> Preset:
    """The preset of a run on `source` for which none is requested."""
    return "demo" if source == "sample" else "fast"


def with_preset(preset: str, table: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a preset, overridden by those in `table`, as nested plain values. Raises BadInput."""
    if preset not in PRESETS:
        raise BadInput(f"preset: must be one of {', '.join(PRESETS)}, got {preset}")
    merged = {**PRESETS[preset]}  # type: ignore[index]  # checked above
    for name, value in table.items():
        preset_value = merged.get(name)
        if isinstance(value, Mapping) and isinstance(preset_value, Mapping):
            value = {**preset_value, **value}
        merged[name] = value
    return merged
