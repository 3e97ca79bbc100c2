"""The README does what it says: its commands run, its code runs, the tree is the tree."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from conftest import COMMANDS, HANG_S, in_process, succeeded
from kaggle_server import Kaggle, served, whole_archive
from PIL import Image

from digit_recognizer import rows, submission
from tenfold.cli import command_line
from tenfold.presets import PRESETS
from tenfold.sources import sample

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
BLOCKS = BLOCK.findall(README)
LINES = [
    shlex.split(line, comments=True)[1:]
    for language, block in BLOCKS
    for line in block.splitlines()
    if language == "sh" and line.startswith("tenfold ")
]
KAGGLE = ("download", "submit", "submissions")  # the commands that call the real `kaggle` command
SLOW = ("export", "join", "--init")  # write the ONNX models
IN_PROCESS = [
    pytest.param(line, marks=[pytest.mark.slow] * any(word in line for word in SLOW), id=" ".join(line))
    for line in LINES
    if line[0] not in (*KAGGLE, "app") and "--cluster" not in line
]


@pytest.fixture(scope="module")
def home(finished_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a reader who has followed the README this far."""
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
    """The server that answers the reader's calls."""
    with served() as server:
        server.archive = whole_archive()
        yield server


def test_the_readme_has_every_command() -> None:
    assert {line[0] for line in LINES} == set(COMMANDS) - {"kernel"}


@pytest.mark.parametrize("line", IN_PROCESS)
def test_every_command_of_the_readme_runs(line: list[str], home: Path) -> None:
    training = line[0] == "run" and "smoke" not in line
    dry = ["--dry-run"] * (training and "--dry-run" not in line)
    succeeded(in_process(*line, *dry, cwd=home))
    for name in re.findall(r"--out (\S+\.(?:png|csv))", " ".join(line)):
        assert (home / name).stat().st_size > 100


@pytest.mark.parametrize("line", [line for line in LINES if line[0] in KAGGLE], ids=" ".join)
def test_every_command_that_calls_kaggle_runs(line: list[str], home: Path, kaggle: Kaggle) -> None:
    succeeded(kaggle.tenfold(*line, cwd=home))


@pytest.mark.parametrize(
    ("page", "names"),
    [("kaggle.md", {"download", "run", "submit", "submissions", "kernel"}), ("cluster.md", {"run", "join"})],
)
def test_every_command_of_a_page_can_be_parsed(
    page: str, names: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (ROOT / "docs" / page).read_text()
    lines = [line.partition(" > ")[0] for line in re.findall(r"^tenfold .*$", text, re.MULTILINE)]
    commands = [shlex.split(line, comments=True)[1:] for line in lines]
    assert {command[0] for command in commands} == names
    monkeypatch.chdir(tmp_path)
    Path("run.toml").touch()
    for command in commands:
        command_line.parse_args(command, exit_on_error=False, print_error=False)  # raises where an option is unknown


@pytest.mark.parametrize("code", [block for language, block in BLOCKS if language == "python"])
def test_every_program_of_the_readme_runs(code: str, home: Path) -> None:
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=home / "runs" / "first", capture_output=True, text=True, timeout=HANG_S)
    assert succeeded(done).strip()


def test_the_tree_names_every_module_and_no_other() -> None:
    pages = [path.read_text() for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md") if path.exists()]
    tree = next(block for _, block in BLOCK.findall("\n".join(pages)) if block.startswith("pipeline/tenfold/"))
    named: dict[Path, set[str]] = {}
    for line in tree.splitlines():
        names, text = (*re.split(r"   +", line.strip(), maxsplit=1), "")[:2]
        if not line.startswith(" "):
            package = ROOT / names
        for name in names.split():
            if name.endswith(".py"):
                named.setdefault(package, set()).add(name.removesuffix(".py"))
            elif not text.startswith("one "):  # file per command, question per file
                named[package / name] = set(re.findall(r"(?:^|[,;:] )(\w+)(?=[,;:]|$| \()", text))
    for package in (ROOT / "pipeline/tenfold", ROOT / "export/tenfold_onnx"):
        for folder in (package, *(path.parent for path in package.glob("*/__init__.py"))):
            modules = {path.stem for path in folder.glob("*.py")} - {"__init__", "__main__"}
            assert named.get(folder, modules) == modules, folder


def test_the_presets_are_those_of_the_table() -> None:
    for name in PRESETS:
        assert re.search(rf"^\| `{name}`", README, re.MULTILINE)


def test_the_options_that_the_readme_names_exist(tmp_path: Path) -> None:
    commands = [*COMMANDS, "gan fit", "gan score", "gan sample"]
    known = [succeeded(in_process(*command.split(), "--help", cwd=tmp_path, COLUMNS="200")) for command in commands]
    benchmark = [sys.executable, "-m", "benchmarks", "one-net", "--help"]
    known.append(succeeded(subprocess.run(benchmark, cwd=ROOT, capture_output=True, text=True, timeout=HANG_S)))
    ours = re.sub(r"--extra-index-url\S*", "", README)
    options = set(re.findall(r"(?<![\w-])--[a-z][a-z.-]+", ours)) - {"--help"}
    assert {option for option in options if not any(option in text for text in known)} == set()


def test_links_to_files_lead_somewhere() -> None:
    for target in re.findall(r"\]\((?!https?://)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


def test_the_plain_lines_install_extras_that_exist() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    requested = re.findall(r"'(?:\.|tenfold)\[([a-z,]+)\]'", README)
    assert requested and all(extra in extras for names in requested for extra in names.split(","))
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
