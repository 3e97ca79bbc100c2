"""A question asked of the digits: cells measured one by one, a table, a plot, a verdict.

A study's folder holds under its name the table (.csv, to which every cell is added as it comes), the page (.md),
the plot (.svg), and pictures that cells leave. The same command again measures what is missing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any, Final

from filelock import FileLock, Timeout
from markupsafe import Markup

from tenfold.data.digits import Digits
from tenfold.errors import BadInput
from tenfold.orchestration import pool
from tenfold.report import figures
from tenfold.report.markdown import markdown
from tenfold.settings import Compute
from tenfold.storage import atomic
from tenfold.storage.environment import machine
from tenfold.studies.table import FULL, QUICK, Table, read, spread, written

INDEX: Final = "README.md"
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


def run_study(
    study: Study, train: Digits, test: Digits, seeds: int, quick: bool, compute: Compute, folder: Path
) -> None:
    """Measure what is missing in the folder, then write the page and the plot.

    Raises BadInput where the folder can't be one, where it holds measurements of the other form or another process
    measures there, RunFailed as `pool.run_all` does.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)  # before any cell takes its minutes
    except OSError as error:
        raise BadInput(f"{folder}: can't be a folder ({error.strerror}); give another --out") from error
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
    rows, form = read(path, study.columns), QUICK if quick else FULL
    if rows and rows[0]["form"] != form:
        other = "leave out --quick" if quick else "ask for --quick"
        raise BadInput(f"{path}: holds measurements of the {rows[0]['form']} form; give another --out, or {other}")
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
        atomic.write(path, written(rows, study.columns))
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
    table = load_table(study, folder)
    try:
        plot, page = figures.alone(study.plot(table)), _page(study, table, folder)
    except (ValueError, KeyError) as error:  # a row or number that plot or verdict counts on is not there
        raise BadInput(
            f"{folder / study.name}.csv: is not whole ({error}); remove it, or give another --out"
        ) from error
    atomic.write(folder / f"{study.name}.svg", plot)
    atomic.write(folder / f"{study.name}.md", page.encode())
    return table


def load_table(study: Study, folder: Path) -> Table:
    """The table of a study, in the order of its cells. Raises BadInput where there is none, or not yet all of it."""
    path = folder / f"{study.name}.csv"
    rows = read(path, study.columns)
    if not rows:
        raise BadInput(f"{path}: is not there; `tenfold study {study.name}` measures it")
    quick, seeds = rows[0]["form"] == QUICK, max(row["seed"] for row in rows) + 1
    jobs = _jobs(study, quick, seeds)
    missing = set(jobs) - {(row["seed"], row["cell"]) for row in rows}
    if missing:
        command = f"{_command(study, seeds, quick)} --out {folder}"
        raise BadInput(f"{path}: lacks {len(missing)} of {len(jobs)} cells, which `{command}` measures")
    cells = study.cells(quick)
    known = [row for row in rows if row["cell"] in cells]
    return Table(sorted(known, key=lambda row: (cells.index(row["cell"]), row["seed"])))


def index(tables: Mapping[Study, Table]) -> str:
    """Claim beside finding."""
    parts = [INTRODUCTION]
    for study, table in tables.items():
        parts += [
            f"## {study.title}",
            *_warning(table),
            f"**What circulates.** {study.claim} ({study.source}).",
            f"**What was found.** {study.verdict(table)}",
            f"![{study.title}]({study.name}.svg)",
            f"[Numbers and protocol]({study.name}.md)",
        ]
    return "\n\n".join(parts) + "\n"


INTRODUCTION: Final = """# Claims that circulate, settled by commands

Public projects that read or draw these digits make claims. Here each question was asked again, by `tenfold study NAME`,
and scored on the competition's 28,000 test rows, which nothing had trained on and by which nothing was chosen. Every
page has the numbers and the protocol; the same command makes it again, and `tenfold study` without a name makes this
one. Where two things are compared, it is mean ± standard error, paired by seed."""


def _measure(part: _Part, report: Callable[[dict[str, Any]], None]) -> None:
    from tenfold.training.device import prepare_process

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
    command = _command(study, seeds, table.rows[0]["form"] == QUICK)
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
        f"{over}, in the table; what was found compares by mean ± standard error, paired by seed. "
        f"{'; '.join(places)}. Made again by `{command}`.",
        f"**Protocol.** {study.protocol}",
        *pictures,
    ]
    return "\n\n".join(parts) + "\n"


def _command(study: Study, seeds: int, quick: bool) -> str:
    return f"tenfold study {study.name} --seeds {seeds}{' --quick' if quick else ''}"


def _warning(table: Table) -> list[str]:
    if table.rows[0]["form"] != QUICK:
        return []
    return [
        "**The quick form, on scikit-learn's small digits: it settles nothing. Numbers of digits and epochs in the "
        "text are those of the full form.**"
    ]


def _cell(values: Sequence[float], column: str) -> str:
    if not values:
        return ""
    if column in COUNTS:
        return spread(values if len(set(values)) > 1 else values[:1], ",.0f")
    return spread(values, ".4f")
