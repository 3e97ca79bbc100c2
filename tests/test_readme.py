"""The README shows before it tells, does what it says, and its numbers, links and options are true."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from conftest import COMMANDS, HANG_S, in_process, succeeded
from PIL import Image

from tenfold.cli import command_line
from tenfold.sources import sample

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
BLOCKS = BLOCK.findall(README)
LINES = [
    line
    for language, block in BLOCKS
    for line in block.splitlines()
    if language == "sh" and line.startswith("tenfold ") and not line.startswith("tenfold app")
]
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "benchmarks/README.md")]
PAGES += [ROOT / "docs" / name for name in ("commands.md", "models.md", "kaggle.md", "cluster.md", "reliability.md")]
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]


@pytest.fixture(scope="module")
def home(finished_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a reader with a finished run, a photo of a digit, and one of a number."""
    home = tmp_path_factory.mktemp("reader")
    shutil.copytree(finished_run, home / "runs" / "first")
    digits = sample.load()[1].images
    Image.fromarray(255 - digits[7]).resize((280, 280)).save(home / "photo.png")
    Image.fromarray(255 - np.concatenate(list(digits[:4]), 1)).resize((448, 112)).save(home / "year.png")
    return home


def test_it_is_read_in_minutes() -> None:
    assert len(README.split()) <= 1500


def test_the_first_picture_moves() -> None:
    first = re.findall(r"!\[[^\]]{20,}\]\((docs/\S+)\)", README)[0]
    with Image.open(ROOT / first) as picture:
        assert getattr(picture, "n_frames", 1) > 20
    assert (ROOT / first).stat().st_size < 1_500_000
    assert README.index(first) < README.index("\n## ")


def test_its_headline_numbers_are_measured() -> None:
    headline = README.partition("## Install")[0]
    measured = (ROOT / "benchmarks" / "README.md").read_text()
    numbers = re.findall(r"\*\*([\d.]+)(?: (\S+))?\*\*", headline)
    assert len(numbers) >= 5
    for number, unit in numbers:
        text = f"{float(number) / 100:.4f}" if unit == "%" else f"{number} {unit}".strip()
        assert text in measured, number


def test_no_line_installs_a_package_that_does_not_exist() -> None:
    for path in PAGES:
        assert not re.search(r"pip install [\"']?tenfold(?!\S* @)", path.read_text()), path


def test_the_extras_that_are_installed_exist() -> None:
    text = "".join(path.read_text() for path in PAGES)
    requested = re.findall(r"[\"'`](?:\.|tenfold)\[([a-z,]+)\]", text)
    assert {name for names in requested for name in names.split(",")} <= set(EXTRAS)
    assert len(requested) >= 3
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


@pytest.mark.parametrize("line", LINES)
def test_every_command_of_the_readme_runs(line: str, home: Path) -> None:
    words = shlex.split(line, comments=True)[1:]
    succeeded(in_process(*words, cwd=home))
    for name in re.findall(r"--out (\S+\.png)", line):
        assert (home / name).stat().st_size > 100


def test_every_command_within_a_sentence_can_be_parsed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    commands = [shlex.split(line)[1:] for line in re.findall(r"`(tenfold [a-z][^`]*)`", BLOCK.sub("", README))]
    assert {"download", "run", "submit"} <= {command[0] for command in commands}
    for command in commands:
        given = [*command, "submission.csv"] if command == ["score"] else command
        command_line.parse_args(given, exit_on_error=False, print_error=False)  # raises where an option is unknown


@pytest.mark.parametrize("code", [block for language, block in BLOCKS if language == "python"])
def test_every_program_of_the_readme_runs(code: str, home: Path) -> None:
    """Training is over where the reader's run already has the settings that are asked for."""
    code = code.replace('source="kaggle", data="data", preset="fast"', 'source="sample", preset="smoke"')
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=home, capture_output=True, text=True, timeout=HANG_S)
    assert succeeded(done).strip()


def test_the_tree_names_every_module_and_no_other() -> None:
    tree = next(block for _, block in BLOCK.findall((ROOT / "CONTRIBUTING.md").read_text()) if "tenfold/" in block)
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
            modules = {path.stem for path in folder.glob("*.py")} - {"__init__"}
            assert named.get(folder, modules) == modules, folder


def test_the_options_that_are_named_exist(tmp_path: Path) -> None:
    commands = [*COMMANDS, "gan fit", "gan score", "gan sample"]
    known = [succeeded(in_process(*command.split(), "--help", cwd=tmp_path, COLUMNS="200")) for command in commands]
    text = README + (ROOT / "docs" / "commands.md").read_text()
    options = set(re.findall(r"(?<![\w-])--[a-z][a-z.-]+", text)) - {"--help"}
    assert {option for option in options if not any(option in text for text in known)} == set()


def heading_ids(page: str) -> set[str]:
    """What GitHub calls the headings of a page in its links."""
    headings = re.findall(r"^#+ (.+)$", BLOCK.sub("", page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target, _, heading in re.findall(r"\]\((?!https?://)([^)#]*)(#([^)]+))?\)", page.read_text()):
        if target.startswith("../../actions/workflows/"):  # on GitHub, beside the repository's files
            assert (ROOT / ".github/workflows" / Path(target.removesuffix("/badge.svg")).name).exists(), target
            continue
        linked = page.parent / target if target else page
        assert linked.exists(), target
        assert not heading or heading in heading_ids(linked.read_text()), f"{target}#{heading}"
