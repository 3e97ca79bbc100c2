"""A study: a claim, the cells that test it, a table, a plot and a verdict.

A study's folder holds under its name the table (.csv), the page (.md), the plot (.svg) and pictures that cells leave.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Final

from markupsafe import Markup

from tenfold.errors import BadInput
from tenfold.report import figures
from tenfold.report.markdown import markdown
from tenfold.storage import atomic
from tenfold.studies.cells import Job, Material, Measure, measure_missing
from tenfold.studies.table import QUICK, Table, read

INDEX: Final = "README.md"


@dataclass(frozen=True, eq=False)  # compared by identity, so that it can be a key
class Study:
    """A question, a published claim about it, and how it is tested."""

    name: str
    title: str
    claim: str
    source: str  # where the claim is published
    protocol: str  # what a cell does, and what was cut to save time
    columns: Mapping[str, str]  # name to number format
    cells: Callable[[bool], Sequence[str]]  # of the quick form or the full one
    measure: Measure
    plot: Callable[[Table], Markup]
    verdict: Callable[[Table], str]
    once: tuple[str, ...] = ()  # cells that no seed changes: measured with seed 0 only
    pictures: Mapping[str, str] = field(default_factory=dict)  # files that cells leave: name to caption


def error_bars(table: Table, column: str = "accuracy", label: str = "test error, %") -> Markup:
    """A bar per row: 100 % minus the accuracy in a column."""
    return figures.bars({name: table.error(name, column) for name in table.names()}, label)


def run_study(study: Study, material: Material, seeds: int, folder: Path) -> None:
    """Measure what is missing in the folder, then write page and plot. Raises as `measure_missing` does."""
    jobs = _jobs(study, material.quick, seeds)
    measure_missing(study.name, study.columns, jobs, study.measure, material, folder)
    write(study, folder)


def write(study: Study, folder: Path) -> Table:
    """Write the page and the plot of a stored table, and return the table. Raises BadInput as `load_table` does."""
    table = load_table(study, folder)
    try:
        plot, page = figures.standalone(study.plot(table)), _page(study, table, folder)
    except (ValueError, KeyError) as error:  # a row or number that plot or verdict needs is not there
        raise BadInput(
            f"{folder / study.name}.csv: is incomplete ({error}); remove it, or choose another folder"
        ) from error
    atomic.write(folder / f"{study.name}.svg", plot)
    atomic.write(folder / f"{study.name}.md", page.encode())
    return table


def load_table(study: Study, folder: Path) -> Table:
    """The stored table, in the order of its cells. Raises BadInput where it is missing or incomplete."""
    path = folder / f"{study.name}.csv"
    rows = read(path, study.columns)
    if not rows:
        raise BadInput(f"{path}: does not exist; `tenfold study {study.name}` measures it")
    quick, seeds = rows[0]["form"] == QUICK, max(row["seed"] for row in rows) + 1
    jobs = _jobs(study, quick, seeds)
    missing = set(jobs) - {(row["seed"], row["cell"]) for row in rows}
    if missing:
        command = f"{_command(study, seeds, quick)} --out {folder}"
        raise BadInput(f"{path}: lacks {len(missing)} of {len(jobs)} cells; `{command}` measures them")
    cells = study.cells(quick)
    known = [row for row in rows if row["cell"] in cells]
    return Table(sorted(known, key=lambda row: (cells.index(row["cell"]), row["seed"])))


def _jobs(study: Study, quick: bool, seeds: int) -> list[Job]:
    """Seeds and cells in the order in which they are measured."""
    return [
        (seed, cell) for seed, cell in product(range(seeds), study.cells(quick)) if not seed or cell not in study.once
    ]


def index(tables: Mapping[Study, Table]) -> str:
    """The page about all studies: each claim and its verdict."""
    parts = [INTRODUCTION]
    for study, table in tables.items():
        parts += [f"## {study.title}", *_findings(study, table), f"[Numbers and protocol]({study.name}.md)"]
    return "\n\n".join(parts) + "\n"


INTRODUCTION: Final = """# Published claims, tested

Public projects that read or draw these digits make claims. `tenfold study NAME` tests each of them on the competition's
28,000 test rows, used neither for training nor for any choice. Every page has the numbers and the
protocol; the same command reproduces it, and `tenfold study` without a name rewrites this page. Comparisons are mean ±
standard error, paired by seed."""


def _page(study: Study, table: Table, folder: Path) -> str:
    places = sorted({f"{row['date']}, {row['machine']}" for row in table.rows})
    seeds = max(row["seed"] for row in table.rows) + 1
    command = _command(study, seeds, table.rows[0]["form"] == QUICK)
    over = f"mean ± standard deviation over {seeds} seeds" if seeds > 1 else "one seed"
    pictures = [
        f"![{caption}]({name})\n\n{caption}" for name, caption in study.pictures.items() if (folder / name).exists()
    ]
    parts = [
        f"# {study.title}",
        *_findings(study, table),
        markdown(["", *study.columns], table.lines(study.columns)),
        f"Table: {over}. Result: mean ± standard error, paired by seed. {'; '.join(places)}. "
        f"Reproduce with `{command}`.",
        f"**Protocol.** {study.protocol}",
        *pictures,
    ]
    return "\n\n".join(parts) + "\n"


def _findings(study: Study, table: Table) -> list[str]:
    warning = (
        "**The quick form, on the sample's few digits: it proves nothing. Numbers of digits and epochs in the "
        "text are those of the full form.**"
    )
    return [
        *([warning] if table.rows[0]["form"] == QUICK else []),
        f"**Claim.** {study.claim} ({study.source}).",
        f"**Result.** {study.verdict(table)}",
        f"![{study.title}]({study.name}.svg)",
    ]


def _command(study: Study, seeds: int, quick: bool) -> str:
    return f"tenfold study {study.name} --seeds {seeds}{' --quick' if quick else ''}"
