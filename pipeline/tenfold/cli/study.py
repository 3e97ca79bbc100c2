"""`tenfold study`: test a published claim."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from tenfold.cli.table import show_page
from tenfold.errors import BadInput
from tenfold.settings import Compute, Data
from tenfold.terminal import note, result

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
    """Test a published claim about the digits: a table, a plot, a verdict.

    Without NAME, it writes the page about all claims. The same command again measures what is missing, cell by cell.
    A full study takes up to 45 minutes on two cores.

    Parameters
    ----------
    name
        Which study.
    seeds
        Number of seeds for each cell.
    quick
        A short form on the sample's few digits: it takes seconds, shows that the study works and proves nothing.
    data
        Folder with the competition's files and MNIST.
    out
        Folder for table, plot and page; default: studies, or studies-quick with --quick.
    workers
        Number of processes; 0 means one per core.
    """
    from tenfold.studies.table import MOST_SEEDS

    if not 1 <= seeds <= MOST_SEEDS:
        raise BadInput(f"seeds: must be an integer from 1 to {MOST_SEEDS}, got {seeds}")
    from tenfold.studies.cells import load_material
    from tenfold.studies.study import run_study

    folder = out or Path("studies-quick" if quick else "studies")
    if name is None:
        write_index(folder)
        return
    compute = Compute(device="cpu", workers=workers, threads=1)
    material = load_material(Data("sample" if quick else "kaggle", data), compute, quick)
    run_study(study_named(name), material, seeds, folder)
    show_page((folder / f"{name}.md").read_text("utf-8"))


def write_index(folder: Path) -> None:
    """Write the page about all studies that are complete in the folder. Raises BadInput where there is none."""
    from tenfold.storage import atomic
    from tenfold.studies.study import INDEX, index, write

    if not folder.is_dir():
        raise BadInput(f"{folder}: is not a folder; `tenfold study nets` creates it")
    tables = {}
    for one in map(study_named, get_args(Name)):
        try:
            tables[one] = write(one, folder)
        except BadInput as reason:
            note(f"skipped: {reason}")
    if not tables:
        raise BadInput(f"{folder}: holds no complete study; `tenfold study nets` measures the first")
    atomic.write(folder / INDEX, index(tables).encode())
    result(f"written: {folder / INDEX}")


def study_named(name: Name) -> Study:
    """The study of that name, from its module."""
    module: Study = import_module(f"tenfold.studies.{name.replace('-', '_')}").STUDY
    return module
