"""The log of measurements, results.jsonl: one JSON object per line, appended at once, so an interruption loses none."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from tenfold.settings import Cgan, Warp
from tenfold.storage.environment import environment
from tenfold.studies.table import stamp

RESULTS: Final = Path(__file__).with_name("results.jsonl")
# Options that later versions of tenfold lack, with their defaults. Commit bb82c74 has them.
REMOVED: Final = {"trunk": 14, "condition": "projection", "r1": 0.0, "lr_decay": 0.0}


def append(kind: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Store one measurement with its date, machine and versions, and return it."""
    versions = environment()
    row = {
        "kind": kind,
        **values,
        **stamp(),
        "torch": versions["packages"]["torch"],
        "git_commit": versions["git_commit"],
    }
    with RESULTS.open("a+b") as file:
        if file.seek(0, 2) and RESULTS.read_bytes()[-1:] != b"\n":  # a kill has cut the last line short
            file.write(b"\n")
        file.write(json.dumps(row).encode() + b"\n")
    return row


def rows(kind: str) -> list[dict[str, Any]]:
    """All measurements of a kind, oldest first, without lines that a kill has cut short."""
    measured = []
    for line in RESULTS.read_bytes().splitlines() if RESULTS.exists() else ():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict) and row.get("kind") == kind:
            measured.append(row)
    return measured


def differing(values: Mapping[str, Any], defaults: Cgan | Warp) -> list[str]:
    """The stored settings that differ from the defaults: ["epochs 8", "loss hinge"]."""
    usual = {**REMOVED, **asdict(defaults)}
    return [f"{name} {value}" for name, value in values.items() if value != usual.get(name)]


def described(channels: Sequence[int], *settings: str) -> str:
    """A net and how it is trained or run: "16-32-48-64-96, 6 epochs"."""
    return ", ".join(["-".join(map(str, channels)), *settings])


def folder_name(channels: Sequence[int], *settings: str) -> str:
    """The same as the name of a folder: "16-32-48-64-96-6-epochs"."""
    return described(channels, *settings).replace(", ", "-").replace(" ", "-")
