"""README's pictures can be made again by one command."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import HANG_S, succeeded
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = ROOT / "docs" / "make_pictures.py"


def make(run: Path, out: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, SCRIPT, run, "--out", out]
    return subprocess.run(command, capture_output=True, text=True, timeout=3 * HANG_S)


@pytest.mark.slow
def test_one_command_makes_all_pictures_of_the_readme(finished_run: Path, tmp_path: Path, browser: Any) -> None:
    browser.close()  # it is only asked whether there is one
    succeeded(make(finished_run, tmp_path))
    shown = re.findall(r"!\[[^\]]+\]\(docs/([^)]+)\)", (ROOT / "README.md").read_text())
    assert {*shown, "networks.svg"} == {path.name for path in tmp_path.iterdir()}
    with Image.open(tmp_path / "page.png") as page:
        assert page.width == 1280
    with Image.open(tmp_path / "drawing.gif") as film:
        assert film.n_frames > 50  # type: ignore[attr-defined]
        first = film.convert("L").tobytes()
        film.seek(film.n_frames - 1)  # type: ignore[attr-defined]
        assert film.convert("L").tobytes() != first


def test_an_unfinished_run_is_refused_in_a_sentence(tmp_path: Path, browser: Any) -> None:
    browser.close()
    done = make(tmp_path, tmp_path / "pictures")
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and "finish it with `tenfold run`" in done.stderr
    assert not (tmp_path / "pictures").exists()
