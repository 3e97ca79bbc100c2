"""The notebook for Kaggle is its source, and runs in a folder laid out like Kaggle's."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import jupytext
import nbformat
import pandas as pd
import pytest
from conftest import HANG_S
from nbclient import NotebookClient
from test_kernel import MOUNTS, attach, roots

from digit_recognizer import submission

FOLDER = Path(__file__).resolve().parents[1] / "kaggle" / "notebook"
SOURCE, NOTEBOOK = FOLDER / "digit_recognizer.py", FOLDER / "digit_recognizer.ipynb"


def execute(tmp_path: Path, **environment: str) -> list[Any]:
    """The notebook's code cells with their outputs, executed as on Kaggle without internet."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    no_internet = dict.fromkeys(("http_proxy", "https_proxy"), "http://127.0.0.1:9")
    cache = {"XDG_CACHE_HOME": str(tmp_path / "cache"), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    work = tmp_path / "working"
    client = NotebookClient(
        notebook, timeout=3 * HANG_S, allow_errors=True, resources={"metadata": {"path": str(work)}}
    )
    client.execute(env=os.environ | roots(tmp_path) | no_internet | cache | environment)
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def errors(cells: list[Any]) -> list[str]:
    """What the cells show that failed, the first first."""
    outputs = [output for cell in cells for output in cell.outputs]
    return ["\n".join(output.traceback) for output in outputs if output.output_type == "error"]


def shown(cells: list[Any], kind: str) -> list[str]:
    """What the cells show in one format."""
    outputs = [output for cell in cells for output in cell.outputs]
    return [output.data[kind] for output in outputs if kind in output.get("data", {})]


def test_the_notebook_is_its_source() -> None:
    source, notebook = jupytext.read(SOURCE), nbformat.read(NOTEBOOK, as_version=4)
    assert [(cell.cell_type, cell.source) for cell in notebook.cells] == [
        (cell.cell_type, cell.source) for cell in source.cells
    ]
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in notebook.cells)
    nbformat.validate(notebook)


def test_it_says_how_to_bring_it_to_kaggle_and_colab() -> None:
    first = jupytext.read(SOURCE).cells[0]
    assert first.cell_type == "markdown"
    assert all(word in first.source for word in ("Import Notebook", "tenfold kernel build", "Add Input", "Colab"))


def test_its_metadata_are_those_of_the_script() -> None:
    """For `kaggle kernels push`: the same inputs and machine, another name."""
    own, script = (
        json.loads((folder / "kernel-metadata.json").read_text()) for folder in (FOLDER, FOLDER.parent / "kernel")
    )
    assert (FOLDER / own["code_file"]).is_file() and own["kernel_type"] == "notebook"
    differing = {"id", "title", "code_file", "kernel_type"}
    assert {key for key in own | script if own.get(key) != script.get(key)} == differing


@pytest.mark.slow
@pytest.mark.parametrize("mounts", MOUNTS)
def test_it_writes_a_submission_and_shows_the_run(tmp_path: Path, mounts: str) -> None:
    attach(tmp_path / "input", mounts)
    cells = execute(tmp_path)
    assert errors(cells) == []
    working = tmp_path / "working"
    assert (working / "submission.csv").read_bytes() == (working / "run" / "submission.csv").read_bytes()
    test_rows = len(pd.read_csv(next((tmp_path / "input").rglob("test.csv"))))
    assert len(submission.read(working / "submission.csv")) == test_rows
    *bars, run, table, report = shown(cells, "text/html")
    assert len(bars) == 1 and "finished in" in bars[0]  # one display, which has updated itself
    assert run.count("<svg") == 2 and "cross-validation" in run
    assert "ImageId" in table and report.startswith("<iframe")
    assert len(shown(cells, "image/png")) == 1


@pytest.mark.slow
def test_a_missing_wheel_is_named(tmp_path: Path) -> None:
    """Nothing is installed, nothing is attached, and there is no internet."""
    (tmp_path / "input").mkdir()
    (tmp_path / "site").mkdir()
    # The interpreter of the tests has tenfold: hide it from the search.
    (tmp_path / "site" / "sitecustomize.py").write_text(
        "import importlib.util\n"
        "find_spec = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name: None if name == 'tenfold' else find_spec(name)\n"
    )
    sentence = errors(execute(tmp_path, PYTHONPATH=str(tmp_path / "site")))[0]
    assert sentence.startswith("tenfold is not installed") and "tenfold kernel build" in sentence
    assert "\n" not in sentence and str(tmp_path / "input") in sentence


@pytest.mark.slow
def test_missing_files_of_the_competition_are_named(tmp_path: Path) -> None:
    (tmp_path / "input").mkdir()
    sentence = errors(execute(tmp_path))[0]
    assert sentence.startswith(str(tmp_path / "input")) and "attach the competition Digit Recognizer" in sentence
    assert "\n" not in sentence
