"""The table of a study: a line of CSV for every measurement, refused unless it is whole."""

from __future__ import annotations

import csv
import io
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from pathlib import Path
from typing import Any, Final

from tenfold.errors import BadInput

KEYS: Final = ("cell", "row", "seed")
PLACE: Final = ("form", "date", "machine")
QUICK, FULL = "quick", "full"
MOST_SEEDS: Final = 100


@dataclass(frozen=True)
class Table:
    """All measurements of a study: rows with KEYS, numbers by column, and PLACE."""

    rows: Sequence[Mapping[str, Any]]

    def names(self) -> list[str]:
        """The table's rows, each once, in their order."""
        return list(dict.fromkeys(row["row"] for row in self.rows))

    def values(self, name: str, column: str) -> list[float]:
        """Of one row and column, by seed."""
        found = sorted((row for row in self.rows if row["row"] == name), key=lambda row: row["seed"])
        return [row[column] for row in found if column in row]

    def mean(self, name: str, column: str) -> float:
        """Over seeds."""
        return statistics.mean(self.values(name, column))

    def error(self, name: str, column: str) -> list[float]:
        """What an accuracy lacks, per cent, by seed."""
        return [100 * (1 - value) for value in self.values(name, column)]

    def pairs(self, name: str, other: str, column: str) -> list[float]:
        """`name` minus `other`, by seed."""
        return [a - b for a, b in zip(self.values(name, column), self.values(other, column), strict=True)]

    def difference(self, name: str, other: str, column: str, scale: float = 1.0) -> str:
        """`name` minus `other`, times `scale`: mean ± standard error, paired by seed."""
        pairs = [scale * pair for pair in self.pairs(name, other, column)]
        return spread(pairs, "+.2f", sqrt(len(pairs)))

    def points(self, name: str, other: str, column: str) -> str:
        """As `difference`, of shares in hundredths."""
        return self.difference(name, other, column, 100.0)


def read(path: Path, columns: Sequence[str]) -> list[dict[str, Any]]:
    """All rows of a stored table; none where there is no such file.

    Raises BadInput where it is another table, damaged, or not what was written: the line and what is wrong with it.
    """
    if not path.exists():
        return []
    try:
        if not path.is_file():
            raise ValueError("no file")
        reader = csv.DictReader(io.StringIO(path.read_text("utf-8-sig"), newline=""), strict=True)
        if list(reader.fieldnames or ()) != [*KEYS, *columns, *PLACE]:
            raise ValueError("other columns")
        rows = [_row(line, columns, f"line {reader.line_num}") for line in reader]
        _require_whole(rows)
    except (OSError, ValueError, csv.Error) as error:
        raise BadInput(f"{path}: is no table of this study ({error}); remove it, or give another --out") from error
    return rows


def written(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> bytes:
    """The inverse of `read`."""
    out = io.StringIO()
    writer = csv.DictWriter(out, [*KEYS, *columns, *PLACE], extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode()


def spread(values: Sequence[float], form: str, shrink: float = 1.0) -> str:
    """Mean ± standard deviation over `shrink`; the mean alone of a single value."""
    mean = f"{statistics.mean(values):{form}}"
    return mean if len(values) == 1 else f"{mean} ± {statistics.stdev(values) / shrink:{form.lstrip('+')}}"


def _row(line: Mapping[Any, Any], columns: Sequence[str], where: str) -> dict[str, Any]:
    if None in line or None in line.values():
        raise ValueError(f"{where}: {'surplus' if None in line else 'missing'} fields")
    try:
        seed, numbers = int(line["seed"]), {name: float(line[name]) for name in columns if line[name]}
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error
    if not 0 <= seed < MOST_SEEDS:
        raise ValueError(f"{where}: seed {seed}")
    if not all(math.isfinite(number) and abs(number) < 1e12 for number in numbers.values()):
        raise ValueError(f"{where}: a number beyond all measure")
    if line["form"] not in (QUICK, FULL):
        raise ValueError(f"{where}: form {line['form']}")
    return {**{name: line[name] for name in ("cell", "row", *PLACE)}, "seed": seed, **numbers}


def _require_whole(rows: Sequence[Mapping[str, Any]]) -> None:
    """A cell's rows and their columns are the same for each of its seeds, and all rows are of one form."""
    if len({row["form"] for row in rows}) > 1:
        raise ValueError("rows of both forms")
    cells: dict[tuple[str, int], list[tuple[str, ...]]] = {}
    for row in rows:
        cells.setdefault((row["cell"], row["seed"]), []).append((row["row"], *sorted(row.keys() - {*KEYS, *PLACE})))
    first: dict[str, list[tuple[str, ...]]] = {}
    for (cell, seed), shape in cells.items():
        if sorted(shape) != sorted(first.setdefault(cell, shape)):
            raise ValueError(f"cell {cell} of seed {seed} has other rows than that of another seed")
        if len(set(shape)) < len(shape):
            raise ValueError(f"cell {cell} of seed {seed} has a row twice")
