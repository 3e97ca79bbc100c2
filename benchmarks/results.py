"""Where measurements are kept: a line each, as they come, so that an interruption loses none."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from tenfold.storage.environment import environment, machine

RESULTS: Final = Path(__file__).with_name("results.jsonl")


def append(kind: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Store one measurement with its date and machine, and give it back."""
    place = environment()
    row = {
        "kind": kind,
        **values,
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "machine": machine(),
        "torch": place["packages"]["torch"],
        "git_commit": place["git_commit"],
    }
    with RESULTS.open("a+b") as file:
        if file.seek(0, 2) and RESULTS.read_bytes()[-1:] != b"\n":  # what a kill cut short ends here
            file.write(b"\n")
        file.write(json.dumps(row).encode() + b"\n")
    return row


def rows(kind: str) -> list[dict[str, Any]]:
    """All measurements of a kind, oldest first; a line that a kill cut short is left out."""
    found = []
    if RESULTS.exists():
        for line in RESULTS.read_bytes().splitlines():
            try:
                row = json.loads(line)
            except ValueError:
                continue
            if isinstance(row, dict) and row.get("kind") == kind:
                found.append(row)
    return found


def differing(values: Mapping[str, Any], usual: object) -> dict[str, Any]:
    """What of a measurement's settings is not as in `usual`, which has a field for each."""
    return {name: value for name, value in values.items() if value != getattr(usual, name)}
