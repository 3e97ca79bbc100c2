"""The README does what it says: its commands run, its code runs, its tree is the tree."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from conftest import tenfold
from kaggle_server import Kaggle, served, whole_archive
from PIL import Image

from digit_recognizer import rows, submission
from tenfold.cli import command_line
from tenfold.presets import PRESETS
from tenfold.sources import sample

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
COMMANDS = [
    shlex.split(line, comments=True)[1:]
    for language, block in BLOCKS
    for line in block.splitlines()
    if language == "sh" and line.startswith("tenfold ")
]


@pytest.fixture(scope="module")
def home(finished_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a reader is who has followed the README this far."""
    home = tmp_path_factory.mktemp("reader")
    for name in ("first", "second"):
        shutil.copytree(finished_run, home / "runs" / name)
    images = sample.load()[1].images
    for fold in (0, 1):
        others = shutil.ignore_patterns(f"fold-{1 - fold}-*", *(["light", "generator"] * fold))
        shutil.copytree(finished_run, home / "parts" / str(fold), ignore=others)
    (home / "test.csv").write_bytes(rows.render(images))
    Image.fromarray(255 - images[7]).resize((280, 280)).save(home / "seven.png")
    (home / "runs" / "mine").mkdir()
    (home / "runs" / "mine" / "submission.csv").write_bytes(submission.render(np.zeros(28_000, np.int64)))
    return home


@pytest.fixture(scope="module")
def kaggle() -> Iterator[Kaggle]:
    """Who answers the reader's calls."""
    with served() as server:
        server.archive = whole_archive()
        yield server


def test_the_readme_has_commands() -> None:
    ours = {name for name in command_line if not name.startswith("-")}
    assert {command[0] for command in COMMANDS} == ours - {"kernel"}


@pytest.mark.parametrize(
    "command",
    [command for command in COMMANDS if command[0] != "app" and "--cluster" not in command],
    ids=" ".join,
)
def test_every_command_of_the_readme_runs(command: list[str], home: Path, kaggle: Kaggle) -> None:
    training = command[0] == "run" and "smoke" not in command
    done = kaggle.tenfold(*command, *["--dry-run"] * (training and "--dry-run" not in command), cwd=home)
    assert done.returncode == 0, done.stderr
    for name in re.findall(r"--out (\S+\.(?:png|csv))", " ".join(command)):
        assert (home / name).stat().st_size > 100


def test_every_command_of_the_walk_to_a_score_is_one() -> None:
    text = (ROOT / "docs" / "kaggle.md").read_text()
    commands = [shlex.split(line, comments=True)[1:] for line in re.findall(r"^tenfold .*$", text, re.MULTILINE)]
    assert {"download", "run", "submit", "submissions", "kernel"} == {command[0] for command in commands}
    for command in commands:
        command_line.parse_args(command, exit_on_error=False, print_error=False)  # raises where an option is unknown


def test_every_command_for_several_machines_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (ROOT / "docs" / "cluster.md").read_text()
    lines = [line.partition(" > ")[0] for line in re.findall(r"^tenfold .*$", text, re.MULTILINE)]
    commands = [shlex.split(line, comments=True)[1:] for line in lines]
    assert {"run", "join"} == {command[0] for command in commands}
    monkeypatch.chdir(tmp_path)
    Path("run.toml").touch()
    for command in commands:
        command_line.parse_args(command, exit_on_error=False, print_error=False)


@pytest.mark.parametrize("code", [block for language, block in BLOCKS if language == "python"])
def test_every_program_of_the_readme_runs(code: str, home: Path) -> None:
    done = subprocess.run([sys.executable, "-c", code], cwd=home / "runs" / "first", capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.strip(), done.stderr


def test_the_tree_names_every_file_and_no_other() -> None:
    tree = next(block for language, block in BLOCKS if not language and "pipeline/tenfold/" in block)
    named = set(re.findall(r"\b([a-z_]+\.py)\b", tree))
    there = {
        path.name
        for root in ("pipeline", "export", "kaggle")
        for path in (ROOT / root).rglob("*.py")
        if path.name not in ("__init__.py", "__main__.py")
        and path.parent.name not in ("cli", "write", "examples", "python")
    }
    assert named == there


def test_the_presets_are_those_of_the_table() -> None:
    for name in PRESETS:
        assert re.search(rf"^\| `{name}`", README, re.MULTILINE)


def test_the_options_that_the_readme_names_exist(tmp_path: Path) -> None:
    known = "".join(
        tenfold(*command.split(), "--help", cwd=tmp_path, COLUMNS="200").stdout
        for command in (
            *("run", "report", "join", "predict", "generate", "submit", "download", "app", "study"),
            *("gan fit", "gan score", "gan sample"),
        )
    )
    benchmark = [sys.executable, "-m", "benchmarks", "one-net", "--help"]
    known += subprocess.run(benchmark, cwd=ROOT, capture_output=True, text=True).stdout
    ours = re.sub(r"--extra-index-url\S*", "", README)
    for option in set(re.findall(r"(?<![\w-])--[a-z][a-z.-]+", ours)):
        assert option in (known + "--help"), option


def test_links_to_files_lead_somewhere() -> None:
    for target in re.findall(r"\]\((?!https?://)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


def test_the_plain_lines_install_extras_that_exist() -> None:
    import tomllib

    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    asked = re.findall(r"'(?:\.|tenfold)\[([a-z,]+)\]'", README)
    assert asked and all(extra in extras for names in asked for extra in names.split(","))
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
