"""The cells of an experiment: each is measured once and stored as soon as it is measured.

An experiment's folder holds <name>.csv, to which each cell adds its rows, and the files that cells leave. The same
call again measures only what is missing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from tenfold.data import overlap
from tenfold.data.digits import Digits
from tenfold.errors import BadInput
from tenfold.evaluation import judge
from tenfold.orchestration import pool
from tenfold.settings import Compute, Data
from tenfold.sources.load import load_sources, reference_digits
from tenfold.storage import atomic
from tenfold.studies.table import FULL, QUICK, encode, read, stamp, summary
from tenfold.terminal import note
from tenfold.training import device


@dataclass(frozen=True, eq=False)  # compared by identity, so that it can be the key of a cache
class Material:
    """What cells are measured on."""

    train: Digits
    test: Digits  # labelled: the score is reported, and nothing is chosen by it
    quick: bool
    compute: Compute


@dataclass(frozen=True)
class Measurement:
    """A row of the table: numbers by column, and files to store beside it."""

    row: str
    numbers: Mapping[str, float]
    files: Mapping[str, bytes] = field(default_factory=dict)


Measure = Callable[[str, int, Material], Sequence[Measurement]]  # of a cell and a seed
Job = tuple[int, str]  # seed and cell


def load_material(data: Data, compute: Compute, quick: bool = False) -> Material:
    """Training digits of which none occurs in the test set, and test digits with labels. Raises BadInput."""
    sources = load_sources(data)
    for line in sources.notes:
        note(line)
    train, _ = overlap.guard(sources.train, sources.extra, sources.test, "honest")
    test = replace(sources.test, labels=judge.look_up_labels(sources.test, reference_digits(data)))
    return Material(train, test, quick, device.resolve(compute, 2**20))


def measure_missing(
    name: str, columns: Mapping[str, str], jobs: Sequence[Job], measure: Measure, material: Material, folder: Path
) -> None:
    """Measure the jobs that the folder's table lacks, in `material.compute.workers` processes.

    `columns` maps each column to its number format. Raises BadInput where the folder can't be made, holds results of
    the other form or is in use, RunFailed as `pool.run_all` does.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)  # before any cell takes minutes
    except OSError as error:
        raise BadInput(f"{folder}: can't be created ({error.strerror}); choose another folder") from error
    try:
        with FileLock(folder / f".{name}.lock", timeout=0):
            _measure_missing(name, columns, jobs, measure, material, folder)
    except Timeout as error:
        raise BadInput(f"{folder}: another process is measuring {name} there; wait for it") from error


def _measure_missing(
    name: str, columns: Mapping[str, str], jobs: Sequence[Job], measure: Measure, material: Material, folder: Path
) -> None:
    path, form = folder / f"{name}.csv", QUICK if material.quick else FULL
    rows = read(path, columns)
    if rows and rows[0]["form"] != form:
        change = "leave out" if form == QUICK else "add"
        raise BadInput(
            f"{path}: holds results of the {rows[0]['form']} form; choose another folder, or {change} --quick"
        )
    stored = {(row["seed"], row["cell"]) for row in rows}
    missing = [job for job in jobs if job not in stored]

    def store(result: dict[str, Any]) -> None:
        for file, data in result["files"].items():
            atomic.write(folder / file, data)
        rows.extend(row | {"form": form} | stamp() for row in result["rows"])
        atomic.write(path, encode(rows, columns))
        for row in result["rows"]:
            numbers = [f"{name} {summary([row[name]], style)}" for name, style in columns.items() if name in row]
            note(f"{row['row']}, seed {row['seed']}: {', '.join(numbers)}")

    # One process per worker rather than per cell: what cells have in common is made once in each.
    workers = material.compute.workers
    shares = [missing[worker::workers] for worker in range(workers)]
    tasks = [pool.Task(name, _measure, _Share(measure, share, material)) for share in shares if share]
    pool.run_all(tasks, workers, store)


@dataclass(frozen=True)
class _Share:
    """What one worker measures."""

    measure: Measure
    jobs: Sequence[Job]
    material: Material


def _measure(share: _Share, report: Callable[[dict[str, Any]], None]) -> None:
    device.prepare_process(share.material.compute)
    for seed, cell in share.jobs:
        started = time.process_time()
        measurements = share.measure(cell, seed, share.material)
        key = {"cell": cell, "seed": seed, "core-seconds": round(time.process_time() - started, 1)}
        files = {name: data for row in measurements for name, data in row.files.items()}
        report({"rows": [{**key, "row": row.row, **row.numbers} for row in measurements], "files": files})
