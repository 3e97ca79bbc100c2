"""The walkthrough is one text in three forms, and what it shows is what its code does."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import jupytext
import nbformat
import pytest

DOCS = Path(__file__).resolve().parents[1] / "docs"
SOURCE = DOCS / "walkthrough.py"


def printed(notebook: Any) -> str:
    """All text that the cells of an executed notebook printed."""
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert not any(output.output_type == "error" for output in outputs)
    return "".join(output.text for output in outputs if output.output_type == "stream")


def test_the_notebook_is_the_source_executed() -> None:
    source, notebook = jupytext.read(SOURCE), nbformat.read(DOCS / "walkthrough.ipynb", as_version=4)
    assert [(cell.cell_type, cell.source) for cell in notebook.cells] == [
        (cell.cell_type, cell.source) for cell in source.cells
    ]
    assert all(cell.execution_count for cell in notebook.cells if cell.cell_type == "code")
    assert len(printed(notebook)) > 500


def test_the_page_is_the_notebook_with_its_output() -> None:
    page, notebook = (DOCS / "walkthrough.md").read_text(), nbformat.read(DOCS / "walkthrough.ipynb", as_version=4)
    for cell in notebook.cells:
        assert cell.source in page
    for line in printed(notebook).splitlines():
        assert line in page
    pictures = re.findall(r"!\[png\]\((.+?)\)", page)
    assert {path.name for path in (DOCS / "walkthrough_files").iterdir()} == {Path(name).name for name in pictures}
    assert len(pictures) == 6


def test_its_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\((?!https?://)([^)#]+)\)", (DOCS / "walkthrough.md").read_text()):
        assert (DOCS / target).exists(), target


@pytest.mark.parametrize("name", ["walkthrough.md", "walkthrough.ipynb"])
def test_nothing_of_the_machine_that_made_it_is_in_it(name: str) -> None:
    text = (DOCS / name).read_text()
    assert not re.search(r"/(home|root|tmp|Users|usr)/", text)
    assert "Warning" not in text


def test_it_ends_with_a_score_and_the_way_to_one() -> None:
    """Its trainings are the API's one call, and a reader goes on to Kaggle."""
    text = SOURCE.read_text()
    assert text.count("tenfold.train(**") == 2 and "fit_classifier" not in text
    assert text.index("run.score") < text.index("](kaggle.md)") < text.index("Where to go from here")


@pytest.mark.slow
def test_it_runs_and_shows_a_leak_and_its_cure(tmp_path: Path) -> None:
    shutil.copy(SOURCE, tmp_path)
    command = [sys.executable, "-m", "jupytext", "--to", "ipynb", "--execute", SOURCE.name]
    home = {"HOME": str(tmp_path / "home"), "PATH": str(Path(sys.executable).parent)}
    done = subprocess.run(command, cwd=tmp_path, env=home, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr[-3000:]
    text = printed(nbformat.read(tmp_path / "walkthrough.ipynb", as_version=4))
    honest, leaked = re.findall(r"honest: ([\d.]+)   with the whole dataset added: ([\d.]+)", text)[0]
    assert leaked == "1.0000" and float(honest) < 1
    assert f"honest again: {honest}" in text
    assert float(re.findall(r"with warps: out of fold ([\d.]+)", text)[0]) > 0.95
    predicted, labels = (
        json.loads(re.findall(rf"{before} (\[.+\])", text)[0]) for before in ("MB predicts", "labels are")
    )
    assert sum(one == other for one, other in zip(predicted, labels, strict=True)) >= 9
    score, low, high = (
        float(re.findall(rf"{before} ([\d.]+\d)", text)[0]) for before in ("test:", "probably from", "[\\d.]+ to")
    )
    assert 0.95 < low < score < high <= 1
