"""`tenfold study`: claims that circulate, settled."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from tenfold.errors import BadInput
from tenfold.settings import Compute, Data

if TYPE_CHECKING:
    from tenfold.studies.study import Study

Name = Literal["nets", "optimizers", "expansion", "low-data", "noise-class", "dcgan"]


def study(
    name: Name | None = None,
    /,
    *,
    seeds: int = 3,
    quick: bool = False,
    data: Path = Path("data"),
    out: Path | None = None,
    workers: int = 0,
) -> None:
    """Ask a question of the digits again: a table, a plot, a verdict. Without NAME: the page about all of them.

    The same command again measures what is missing, cell by cell. A full study takes up to 45 minutes on two cores.

    Parameters
    ----------
    name
        Which question.
    seeds
        How often each cell is measured.
    quick
        A form of seconds on scikit-learn's small digits: it shows that the study works, and settles nothing.
    data
        Folder with the competition's files and MNIST.
    out
        The folder for table, plot and page; studies unless given, and studies-quick for the quick form.
    workers
        Cells measured side by side; 0 takes one a core.
    """
    from tenfold.studies.table import MOST_SEEDS

    if not 1 <= seeds <= MOST_SEEDS:
        raise BadInput(f"seeds: is {seeds} where a whole number from 1 to {MOST_SEEDS} belongs")
    from tenfold.data import overlap
    from tenfold.evaluation import judge
    from tenfold.sources.load import load_sources, reference_digits
    from tenfold.storage import atomic
    from tenfold.studies.study import INDEX, index, run_study, write
    from tenfold.training import device

    folder = out or Path("studies-quick" if quick else "studies")
    if name is None:
        if not folder.is_dir():
            raise BadInput(f"{folder}: is no folder of studies; `tenfold study nets` measures the first")
        tables = {}
        for one in map(asked, get_args(Name)):
            try:
                tables[one] = write(one, folder)
            except BadInput as reason:
                print(f"left out: {reason}")
        if not tables:
            raise BadInput(f"{folder}: holds no whole table of any study; `tenfold study nets` measures the first")
        atomic.write(folder / INDEX, index(tables).encode())
        print(f"written: {folder / INDEX}")
        return
    where = Data("sample" if quick else "kaggle", data)
    found = load_sources(where)
    for line in found.notes:
        print(line)
    train, _ = overlap.guard(found.train, found.extra, found.test, "honest")
    test = replace(found.test, labels=judge.answer_key(found.test, reference_digits(where)))
    run_study(
        asked(name), train, test, seeds, quick, device.resolve(Compute(workers=workers, threads=1), 2**20), folder
    )
    print((folder / f"{name}.md").read_text("utf-8"), end="")


def asked(name: Name) -> Study:
    """The study of that name, from its file."""
    found: Study = import_module(f"tenfold.studies.{name.replace('-', '_')}").STUDY
    return found
