"""Tables as Markdown that also reads well as plain text."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any


def markdown(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A table with aligned columns; the last one is not padded."""
    rows = [header, *lines]
    widths = [max(3, *(len(row[column]) for row in rows)) for column in range(len(header))]
    widths[-1] = 3

    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)) + " |"

    return "\n".join((line(header), line(["-" * width for width in widths]), *map(line, lines)))


def flat(table: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested plain values as lines of a table: {"fit.epochs": "12"}."""
    lines: dict[str, str] = {}
    for key, value in table.items():
        if isinstance(value, Mapping):
            lines |= flat(value, f"{prefix}{key}.")
        else:
            lines[f"{prefix}{key}"] = value if isinstance(value, str) else json.dumps(value)
    return lines
