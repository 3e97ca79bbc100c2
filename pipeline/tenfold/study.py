"""A question asked of the digits: cells measured one by one, a table, a plot, a verdict.

A study's folder holds under its name the table (.csv, to which every cell is added as it comes), the page (.md),
the plot (.svg), and pictures that cells leave. The same command again measures what is missing.
"""

from __future__ import annotations

import csv
import io
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from math import sqrt
from pathlib import Path
from typing import Any, Final

from filelock import FileLock, Timeout
from markupsafe import Markup

from tenfold import atomic, pool
from tenfold.digits import Digits
from tenfold.errors import BadInput
from tenfold.record import machine
from tenfold.report import figures
from tenfold.settings import Compute
from tenfold.table import markdown

INDEX: Final = "README.md"
KEYS: Final = ("cell", "row", "seed")
PLACE: Final = ("form", "date", "machine")
COUNTS: Final = ("parameters", "core-seconds", "steps")  # columns of whole numbers


@dataclass(frozen=True, eq=False)  # equal to itself alone, so that it can be a key
class Material:
    """What cells are measured on."""

    train: Digits
    test: Digits  # labelled: the score is reported, and nothing is chosen by it
    quick: bool
    compute: Compute


@dataclass(frozen=True)
class Measured:
    """A row of the table: numbers by column, and files to keep."""

    row: str
    numbers: Mapping[str, float]
    files: Mapping[str, bytes] = field(default_factory=dict)


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


@dataclass(frozen=True, eq=False)
class Study:
    """A question, what circulates about it, and how it is settled."""

    name: str
    title: str
    claim: str
    source: str  # where the claim is made, for anybody to read
    protocol: str  # what a cell does, and what was cut to end in time
    columns: tuple[str, ...]
    cells: Callable[[bool], Sequence[str]]  # of the quick form or the full one
    measure: Callable[[str, int, Material], Sequence[Measured]]  # of a cell and a seed
    plot: Callable[[Table], Markup]
    verdict: Callable[[Table], str]
    once: tuple[str, ...] = ()  # cells that no seed changes: measured under seed 0 alone
    pictures: Mapping[str, str] = field(default_factory=dict)  # of the files that cells leave: name to caption


@dataclass(frozen=True)
class _Part:
    study: Study
    jobs: Sequence[tuple[int, str]]  # seeds and cells
    material: Material


def carry_out(
    study: Study, train: Digits, test: Digits, seeds: int, quick: bool, compute: Compute, folder: Path
) -> None:
    """Measure what is missing in the folder, then write the page and the plot.

    Raises BadInput where it holds measurements of the other form or another process measures there, RunFailed as
    `pool.run_all` does.
    """
    folder.mkdir(parents=True, exist_ok=True)  # before any cell takes its minutes
    try:
        with FileLock(folder / f".{study.name}.lock", timeout=0):
            _measure_missing(study, train, test, seeds, quick, compute, folder)
    except Timeout as error:
        raise BadInput(f"{folder}: another `tenfold study {study.name}` is at work there; wait for it") from error
    write(study, folder)


def _measure_missing(
    study: Study, train: Digits, test: Digits, seeds: int, quick: bool, compute: Compute, folder: Path
) -> None:
    path = folder / f"{study.name}.csv"
    rows, form = read(study, path), _form(quick)
    if any(row["form"] != form for row in rows):
        raise BadInput(f"{path}: holds measurements of the {rows[0]['form']} form; give another --out")
    have = {(row["seed"], row["cell"]) for row in rows}
    jobs = [job for job in _jobs(study, quick, seeds) if job not in have]
    material = Material(train, test, quick, compute)
    # A process for each worker rather than for each cell: what cells have in common is made once in it.
    parts = [jobs[worker :: compute.workers] for worker in range(compute.workers)]
    tasks = [pool.Task(f"study {study.name}", _measure, _Part(study, part, material)) for part in parts if part]
    place = {"form": form, "date": time.strftime("%Y-%m-%d", time.gmtime()), "machine": machine()}

    def keep(record: dict[str, Any]) -> None:
        for name, data in record["files"].items():
            atomic.write(folder / name, data)
        rows.extend(row | place for row in record["rows"])
        atomic.write(path, _csv(study, rows))
        for row in record["rows"]:
            numbers = ", ".join(f"{column} {_cell([row[column]], column)}" for column in study.columns if column in row)
            print(f"{row['row']}, seed {row['seed']}: {numbers}", flush=True)

    pool.run_all(tasks, compute.workers, keep)


def _jobs(study: Study, quick: bool, seeds: int) -> list[tuple[int, str]]:
    """Seeds and cells in the order in which they are measured."""
    return [
        (seed, cell) for seed, cell in product(range(seeds), study.cells(quick)) if not seed or cell not in study.once
    ]


def write(study: Study, folder: Path) -> Table:
    """Make the page and the plot of a study from its stored table, and give that. Raises BadInput as `stored` does."""
    table = stored(study, folder)
    atomic.write(folder / f"{study.name}.svg", figures.alone(study.plot(table)))
    atomic.write(folder / f"{study.name}.md", _page(study, table, folder).encode())
    return table


def stored(study: Study, folder: Path) -> Table:
    """The table of a study, in the order of its cells. Raises BadInput where there is none, or not yet all of it."""
    path = folder / f"{study.name}.csv"
    rows = read(study, path)
    if not rows:
        raise BadInput(f"{path}: is not there; `tenfold study {study.name}` measures it")
    quick = rows[0]["form"] == _form(True)
    jobs = _jobs(study, quick, max(row["seed"] for row in rows) + 1)
    missing = set(jobs) - {(row["seed"], row["cell"]) for row in rows}
    if missing:
        raise BadInput(f"{path}: lacks {len(missing)} of {len(jobs)} cells; the same study measures them")
    cells = study.cells(quick)
    known = [row for row in rows if row["cell"] in cells]
    return Table(sorted(known, key=lambda row: (cells.index(row["cell"]), row["seed"])))


def index(tables: Mapping[Study, Table]) -> str:
    """Claim beside finding."""
    parts = [INTRODUCTION, *dict.fromkeys(line for table in tables.values() for line in _warning(table))]
    for study, table in tables.items():
        parts += [
            f"## {study.title}",
            f"**What circulates.** {study.claim} ({study.source}).",
            f"**What was found.** {study.verdict(table)}",
            f"![{study.title}]({study.name}.svg)",
            f"[Numbers and protocol]({study.name}.md)",
        ]
    return "\n\n".join(parts) + "\n"


INTRODUCTION: Final = """# Claims that circulate, settled by commands

Public projects that read or draw these digits make claims. Here each question was asked again, by `tenfold study NAME`,
and scored on the competition's 28,000 test rows, which nothing had trained on and by which nothing was chosen. Every
page has the numbers and the protocol; the same command makes it again, and `tenfold study` alone makes this one. Where
two things are compared, it is mean ± standard error, paired by seed."""


def read(study: Study, path: Path) -> list[dict[str, Any]]:
    """All rows of a stored table; none where there is no such file. Raises BadInput where it is another table."""
    if not path.exists():
        return []
    try:
        reader = csv.DictReader(io.StringIO(path.read_text("utf-8")), strict=True)
        if list(reader.fieldnames or ()) != [*KEYS, *study.columns, *PLACE]:
            raise ValueError("other columns")
        return [
            {
                **{name: row[name] for name in ("cell", "row", *PLACE)},
                "seed": int(row["seed"]),
                **{name: float(row[name]) for name in study.columns if row[name]},
            }
            for row in reader
        ]
    except (OSError, ValueError, TypeError, csv.Error) as error:
        raise BadInput(f"{path}: is no table of this study ({error}); remove it, or give another --out") from error


def spread(values: Sequence[float], form: str, shrink: float = 1.0) -> str:
    """Mean ± standard deviation over `shrink`; the mean alone of a single value."""
    mean = f"{statistics.mean(values):{form}}"
    return mean if len(values) == 1 else f"{mean} ± {statistics.stdev(values) / shrink:{form.lstrip('+')}}"


def _measure(part: _Part, report: Callable[[dict[str, Any]], None]) -> None:
    from tenfold.compute import prepare_process

    prepare_process(part.material.compute)
    for seed, cell in part.jobs:
        started = time.process_time()
        found = part.study.measure(cell, seed, part.material)
        key = {"cell": cell, "seed": seed, "core-seconds": round(time.process_time() - started, 1)}
        files = {name: data for row in found for name, data in row.files.items()}
        report({"rows": [{**key, "row": row.row, **row.numbers} for row in found], "files": files})


def _page(study: Study, table: Table, folder: Path) -> str:
    lines = [[name, *(_cell(table.values(name, column), column) for column in study.columns)] for name in table.names()]
    places = sorted({f"{row['date']}, {row['machine']}" for row in table.rows})
    seeds = max(row["seed"] for row in table.rows) + 1
    quick = " --quick" if _warning(table) else ""
    command = f"tenfold study {study.name} --seeds {seeds}{quick}"
    over = f"Mean ± standard deviation over {seeds} seeds" if seeds > 1 else "One seed"
    pictures = [
        f"![{caption}]({name})\n\n{caption}" for name, caption in study.pictures.items() if (folder / name).exists()
    ]
    parts = [
        f"# {study.title}",
        *_warning(table),
        f"**What circulates.** {study.claim} ({study.source}).",
        f"**What was found.** {study.verdict(table)}",
        f"![{study.title}]({study.name}.svg)",
        markdown(["", *study.columns], lines),
        f"{over}; {'; '.join(places)}. Made again by `{command}`.",
        f"**Protocol.** {study.protocol}",
        *pictures,
    ]
    return "\n\n".join(parts) + "\n"


def _warning(table: Table) -> list[str]:
    quick = table.rows[0]["form"] == _form(True)
    return ["**The quick form, on scikit-learn's small digits: it settles nothing.**"] if quick else []


def _cell(values: Sequence[float], column: str) -> str:
    if not values:
        return ""
    if column in COUNTS:
        return spread(values if len(set(values)) > 1 else values[:1], ",.0f")
    return spread(values, ".4f")


def _form(quick: bool) -> str:
    return "quick" if quick else "full"


def _csv(study: Study, rows: Sequence[Mapping[str, Any]]) -> bytes:
    out = io.StringIO()
    writer = csv.DictWriter(out, [*KEYS, *study.columns, *PLACE], extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode()
