"""The table of an experiment: one CSV row per measurement, refused unless it is complete; statistics over seeds."""

from __future__ import annotations

import csv
import io
import math
import statistics
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from scipy import stats

from tenfold.errors import BadInput
from tenfold.storage.environment import machine

KEYS: Final = ("cell", "row", "seed")
PLACE: Final = ("form", "date", "machine")
QUICK, FULL = "quick", "full"
MOST_SEEDS: Final = 100
DECIMAL, COUNT = ".4f", ",.0f"  # formats of columns


@dataclass(frozen=True)
class Table:
    """Measurements as rows with a name ("row"), a seed and numbers by column."""

    rows: Sequence[Mapping[str, Any]]

    def names(self) -> list[str]:
        """The names of the rows, each once, in their order."""
        return list(dict.fromkeys(row["row"] for row in self.rows))

    def values(self, name: str, column: str) -> list[float]:
        """The numbers of one row and column, by seed."""
        rows = sorted((row for row in self.rows if row["row"] == name), key=lambda row: row["seed"])
        return [row[column] for row in rows if column in row]

    def mean(self, name: str, column: str) -> float:
        """Mean over seeds."""
        return statistics.mean(self.values(name, column))

    def error(self, name: str, column: str) -> list[float]:
        """100 % minus an accuracy, per cent, by seed."""
        return [100 * (1 - value) for value in self.values(name, column)]

    def pairs(self, name: str, other: str, column: str) -> list[float]:
        """`name` minus `other`, by seed."""
        return [a - b for a, b in zip(self.values(name, column), self.values(other, column), strict=True)]

    def difference(self, name: str, other: str, column: str, scale: float = 1.0) -> str:
        """`name` minus `other`, times `scale`: mean ± standard error, paired by seed."""
        pairs = [scale * pair for pair in self.pairs(name, other, column)]
        error = f" ± {stats.sem(pairs):.2f}" if len(pairs) > 1 else ""
        return f"{statistics.mean(pairs):+.2f}{error}"

    def points(self, name: str, other: str, column: str) -> str:
        """The `difference` of two shares, in percentage points."""
        return self.difference(name, other, column, 100.0)

    def lines(self, columns: Mapping[str, str]) -> list[list[str]]:
        """The table for people: each row's name and summaries, given the format of each column."""
        return [
            [name, *(summary(self.values(name, column), form) for column, form in columns.items())]
            for name in self.names()
        ]


def summary(values: Sequence[float], form: str) -> str:
    """Mean ± standard deviation; the mean alone of a single value or of equal counts."""
    if not values:
        return ""
    mean = f"{statistics.mean(values):{form}}"
    if len(values) == 1 or (form == COUNT and len(set(values)) == 1):
        return mean
    return f"{mean} ± {statistics.stdev(values):{form.lstrip('+')}}"


def stamp() -> dict[str, str]:
    """When and where a measurement is made."""
    return {"date": time.strftime("%Y-%m-%d", time.gmtime()), "machine": machine()}


def read(path: Path, columns: Collection[str]) -> list[dict[str, Any]]:
    """All rows of a stored table; empty where the file does not exist.

    Raises BadInput where the file is another table, damaged or incomplete: the line and what is wrong with it.
    """
    if not path.exists():
        return []
    try:
        if not path.is_file():
            raise ValueError("not a file")
        reader = csv.DictReader(io.StringIO(path.read_text("utf-8-sig"), newline=""), strict=True)
        if list(reader.fieldnames or ()) != [*KEYS, *columns, *PLACE]:
            raise ValueError("the columns differ")
        rows = [_row(fields, columns, f"line {reader.line_num}") for fields in reader]
        _require_complete(rows)
    except (OSError, ValueError, csv.Error) as error:
        raise BadInput(
            f"{path}: is not a table of this experiment ({error}); remove it, or choose another folder"
        ) from error
    return rows


def encode(rows: Sequence[Mapping[str, Any]], columns: Collection[str]) -> bytes:
    """Rows as CSV; the inverse of `read`."""
    out = io.StringIO()
    writer = csv.DictWriter(out, [*KEYS, *columns, *PLACE], extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode()


def _row(fields: Mapping[Any, Any], columns: Collection[str], where: str) -> dict[str, Any]:
    if None in fields or None in fields.values():
        raise ValueError(f"{where}: too {'many' if None in fields else 'few'} fields")
    try:
        seed, numbers = int(fields["seed"]), {name: float(fields[name]) for name in columns if fields[name]}
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error
    if not 0 <= seed < MOST_SEEDS:
        raise ValueError(f"{where}: seed must be below {MOST_SEEDS}, got {seed}")
    if not all(math.isfinite(number) and abs(number) < 1e12 for number in numbers.values()):
        raise ValueError(f"{where}: numbers must be finite and below 1e12")
    if fields["form"] not in (QUICK, FULL):
        raise ValueError(f"{where}: form must be {QUICK} or {FULL}, got {fields['form']}")
    return {**{name: fields[name] for name in ("cell", "row", *PLACE)}, "seed": seed, **numbers}


def _require_complete(rows: Sequence[Mapping[str, Any]]) -> None:
    """Raise ValueError unless a cell's rows and columns are the same for all its seeds, and all of one form."""
    if len({row["form"] for row in rows}) > 1:
        raise ValueError("quick and full rows are mixed")
    cells: dict[tuple[str, int], list[tuple[str, ...]]] = {}
    for row in rows:
        cells.setdefault((row["cell"], row["seed"]), []).append((row["row"], *sorted(row.keys() - {*KEYS, *PLACE})))
    first: dict[str, list[tuple[str, ...]]] = {}
    for (cell, seed), shape in cells.items():
        if sorted(shape) != sorted(first.setdefault(cell, shape)):
            raise ValueError(f"cell {cell}, seed {seed}: its rows differ from another seed's")
        if len(set(shape)) < len(shape):
            raise ValueError(f"cell {cell}, seed {seed}: a row occurs twice")
