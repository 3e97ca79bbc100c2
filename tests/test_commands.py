"""docs/commands.md does what it says: its lines run, in its order, with what the section promises and no more."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from conftest import COMMANDS, TINY, in_process, succeeded
from kaggle_server import Kaggle, served, whole_archive
from PIL import Image

from digit_recognizer import rows, submission
from tenfold.cli import command_line
from tenfold.presets import PRESETS
from tenfold.sources import sample

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "commands.md").read_text()
LINES = {
    title: [shlex.split(line, comments=True)[1:] for line in re.findall(r"^tenfold .*$", text, re.MULTILINE)]
    for title, text in re.findall(r"^## (.+)\n((?:(?!## ).*\n)*)", PAGE, re.MULTILINE)
}
KAGGLE = ("download", "submit", "submissions")  # the commands that call the real `kaggle` command
MINUTES = ("export", "join")  # write the ONNX models


def trains(line: list[str]) -> bool:
    return line[0] == "run" or line[:2] == ["gan", "fit"]


ON_THE_SAMPLE = [line for line in LINES["On the sample"] if line[0] != "app"]  # the page has tests of its own
QUICK = [line for line in ON_THE_SAMPLE if not trains(line) and line[0] not in MINUTES]
RUNS = [line for lines in LINES.values() for line in lines if line[0] == "run" and "--cluster" not in line]


def draw_sevens(home: Path) -> None:
    """Real digits in place of those of a generator that has learned nothing, which are noise."""
    shutil.rmtree(home / "set" / "7", ignore_errors=True)
    (home / "set" / "7").mkdir(parents=True)
    for path in (home / "seven.png", home / "set" / "7" / "00007.png"):
        Image.fromarray(sample.load()[1].images[7]).save(path)


@pytest.fixture(scope="module")
def home(finished_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a reader who has followed the page this far."""
    home = tmp_path_factory.mktemp("reader")
    for name in ("first", "second", "gan"):
        shutil.copytree(finished_run, home / "runs" / name)
    (home / "digits.csv").write_bytes(rows.render(sample.load()[1].images))
    draw_sevens(home)
    (home / "runs" / "mine").mkdir()
    (home / "runs" / "mine" / "submission.csv").write_bytes(submission.render(np.zeros(28_000, np.int64)))
    return home


@pytest.fixture(scope="module")
def kaggle() -> Iterator[Kaggle]:
    """The server that answers the reader's calls."""
    with served() as server:
        server.archive = whole_archive()
        yield server


def test_the_page_has_every_command() -> None:
    assert {line[0] for lines in LINES.values() for line in lines} == set(COMMANDS) - {"kernel"}
    assert "`tenfold kernel`" in PAGE


@pytest.mark.parametrize("line", QUICK, ids=" ".join)
def test_a_command_that_trains_nothing_runs(line: list[str], home: Path) -> None:
    for name in re.findall(r"--out (\S+)$", " ".join(line)):
        shutil.rmtree(home / name, ignore_errors=True)  # a reader at this line has no such folder yet
    if line[0] == "predict":
        draw_sevens(home)
    succeeded(in_process(*line, cwd=home))


@pytest.mark.parametrize("line", RUNS, ids=" ".join)
def test_the_settings_of_every_run_are_valid(line: list[str], home: Path) -> None:
    printed = succeeded(in_process(*line, *["--dry-run"] * ("--dry-run" not in line), cwd=home))
    assert "[data]" in printed


@pytest.mark.parametrize(
    "line", [line for lines in LINES.values() for line in lines if line[0] in KAGGLE], ids=" ".join
)
def test_every_command_that_calls_kaggle_runs(line: list[str], home: Path, kaggle: Kaggle) -> None:
    succeeded(kaggle.tenfold(*line, cwd=home))


@pytest.mark.slow
def test_the_sample_suffices_from_top_to_bottom(tmp_path: Path) -> None:
    """In an empty folder, with nets that learn nothing in a second."""
    for line in ON_THE_SAMPLE:
        # A net that has learned nothing is sure of no label: rounding changes some, and it sees no digit.
        if "--int8" in line or any("classifier_canvas" in word for word in line):
            continue
        if "set/7" in line:
            draw_sevens(tmp_path)
        tiny = TINY[1:] if trains(line) and not {"--dry-run", "--config"} & set(line) else []
        succeeded(in_process(*line, *tiny, cwd=tmp_path))
        for name in re.findall(r"--out (\S+)", " ".join(line)):
            assert (tmp_path / name).exists()


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


def test_the_presets_are_those_of_the_table() -> None:
    assert set(re.findall(r"^\| `(\w+)`.* × ", PAGE, re.MULTILINE)) == set(PRESETS) - {"smoke"}
