"""What several test files share: the command in two forms, finished runs, real data if it is there."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch
from filelock import FileLock
from kaggle_server import Kaggle, served

from digit_recognizer import competition
from digit_recognizer.files import read_digits
from tenfold.cli import command_line, status
from tenfold.data.digits import Digits
from tenfold.orchestration import pool
from tenfold.storage.completion import DONE, finish

# Tests that were started in the background have Ctrl-C ignored, and what they start would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
# Two processes share the tests and the cores. With a thread per core in each, they wait for each other.
torch.set_num_threads(1)

COMMANDS = [name for name in command_line if not name.startswith("-")]
SMOKE = ["run", "--preset", "smoke", "--source", "sample"]
TINY = ["run", "--config", str(Path(__file__).with_name("tiny.toml"))]
HANG_S = 600  # only a hang takes longer than this, however busy the machine

# Files of a run that are the same bytes whenever the settings and the processor are.
SAME_BYTES = [
    "submission.csv",
    "oof.npz",
    "test_probabilities.npz",
    "classifier.onnx",
    "classifier_light.onnx",
    "classifier_canvas.onnx",
    "classifier_explain.onnx",
    "generator.onnx",
    "fold-0-net-0/classifier.safetensors",
    "fold-1-generator/generator.safetensors",
    "light/classifier.safetensors",
    "generator/generator.safetensors",
]


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder with the competition's files and MNIST."""
    folder = os.environ.get("TENFOLD_DATA")
    if not folder:
        pytest.skip("TENFOLD_DATA names no folder with the real files")
    return Path(folder).resolve()


@pytest.fixture(scope="session")
def real_test(real_data: Path) -> Digits:
    """The competition's test digits."""
    with zipfile.ZipFile(real_data / competition.ARCHIVE) as archive:
        images, _ = read_digits(lambda: archive.open(competition.TEST), competition.TEST, labelled=False)
    return Digits.of("kaggle-test", images, None)


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder for this session, so that tests leave the user's alone."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def kaggle() -> Iterator[Kaggle]:
    """A server on 127.0.0.1 that answers the real `kaggle` command."""
    with served() as server:
        yield server


@pytest.fixture
def own_cache(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same, switched on."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    return cache


@pytest.fixture(autouse=True)
def own_weights() -> None:
    """Nets that a test builds start with the same weights each time."""
    torch.manual_seed(0)


def tenfold(*arguments: str | Path, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """The command as a person runs it, in a process of its own."""
    # A test that drew a figure in this process has set where matplotlib keeps its list of fonts.
    inherited = {name: value for name, value in os.environ.items() if name != "MPLCONFIGDIR"}
    return subprocess.run(
        [sys.executable, "-m", "tenfold", *map(str, arguments)],
        cwd=cwd,
        env=inherited | environment,
        capture_output=True,
        text=True,
        timeout=HANG_S,
    )


def in_process(*arguments: str | Path, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """The command in this process, which has imported torch already; it trains here too, one net after the other."""
    out, err = io.StringIO(), io.StringIO()
    with (
        contextlib.chdir(cwd),
        mock.patch.dict(os.environ, environment),
        mock.patch.object(pool, "run_all", lambda tasks, workers, report: pool.run_in_turn(tasks, report)),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        code = status([str(argument) for argument in arguments])
    torch.set_num_threads(1)  # a run sets its own number
    # As a terminal shows a path of other bytes than UTF-8, which pytest's processes can't exchange as it is.
    printed = (text.getvalue().encode(errors="backslashreplace").decode() for text in (out, err))
    return subprocess.CompletedProcess(arguments, code, *printed)


def succeeded(done: subprocess.CompletedProcess[str]) -> str:
    """What a command printed that must have succeeded."""
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def refused(*arguments: str | Path, cwd: Path, code: int = 2, **environment: str) -> str:
    """The one sentence with which a command ends that can't work."""
    done = in_process(*arguments, cwd=cwd, **environment)
    assert done.returncode == code, done.stdout + done.stderr
    return one_sentence(done.stderr)


def one_sentence(message: str) -> str:
    """The message, which must be a single line from tenfold, not a traceback."""
    assert message.startswith("tenfold: ") and message.count("\n") == 1 and "Traceback" not in message, message
    return message


def wait_until(true: Callable[[], object]) -> None:
    """Return as soon as `true()` is."""
    deadline = time.monotonic() + HANG_S
    while not true():
        assert time.monotonic() < deadline, "it hangs"
        time.sleep(0.02)


def differing(a: Path, b: Path) -> list[str]:
    """The files in which two runs differ, of those that must be the same bytes."""
    return [name for name in SAME_BYTES if (a / name).read_bytes() != (b / name).read_bytes()]


@pytest.fixture
def browser() -> Iterator[Any]:
    """An installed Chromium, driven by Playwright."""
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no chromium is installed (name one in CHROMIUM)")
    arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    playwright = pytest.importorskip("playwright.sync_api")
    playwright.expect.set_options(timeout=1000 * HANG_S)
    with playwright.sync_playwright() as play:
        opened = play.chromium.launch(executable_path=chromium, args=arguments, timeout=1000 * HANG_S)
        yield opened
        opened.close()


def few_digits(n: int, seed: int = 0, labels: Sequence[int] | None = None) -> Digits:
    """Distinct random images with balanced labels."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (n, 28, 28), dtype=np.uint8)
    return Digits.of("few", images, np.asarray(labels if labels is not None else np.arange(n) % 10, dtype=np.int64))


@dataclass(frozen=True)
class Watched:
    """A finished run, and what lay around it before and after."""

    run: Path
    before: dict[str, str]  # path -> hash
    after: dict[str, str]  # without the run's folder


def shared(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """A folder that `make` fills once per session: the processes that share the tests share it too."""
    base = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent
    folder, made = base / name, base / f"{name}.made"
    with FileLock(base / f"{name}.lock"):
        if not made.exists():
            shutil.rmtree(folder, ignore_errors=True)  # of a process that failed
            folder.mkdir()
            make(folder)
            made.touch()
    return folder


@pytest.fixture(scope="session")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Watched:
    """A smoke run on the sample, with its own home, working folder and folder for temporary files."""
    folder = shared(tmp_path_factory, "Läufe – 数字 ", _watch_a_run)
    return Watched(folder / "here" / "run", *json.loads((folder / "watched.json").read_text()))


def _watch_a_run(folder: Path) -> None:
    here, home, temporary = (folder / name for name in ("here", "home", "tmp"))
    for path in (here / "data" / "MNIST" / "raw", home, temporary):
        path.mkdir(parents=True)
    (here / "data" / "train.csv").write_bytes(b"not even looked at")

    def listed() -> dict[str, str]:
        paths = [path for path in folder.rglob("*") if here / "run" not in (path, *path.parents)]
        content = {path: path.read_bytes() if path.is_file() else b"" for path in paths}
        return {str(path.relative_to(folder)): hashlib.sha256(data).hexdigest() for path, data in content.items()}

    before = listed()
    own = {"HOME": str(home), "XDG_CACHE_HOME": str(home / ".cache"), "TMPDIR": str(temporary)}
    succeeded(tenfold(*SMOKE, "--out", "run", cwd=here, **own))
    (folder / "watched.json").write_text(json.dumps([before, listed()]))


@pytest.fixture(scope="session")
def finished_run(watched: Watched) -> Path:
    """The folder of a smoke run on the sample; a test that changes it copies it first."""
    return watched.run


def declare_again(run: Path) -> None:
    """Let a copy of a run that a test changed count as finished, as if it had been written that way."""
    finish(run, tuple(json.loads((run / DONE).read_text())["files"]), {})


@pytest.fixture(scope="session")
def other_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run with other folds and other nets on the same digits."""

    def make(folder: Path) -> None:
        succeeded(in_process(*TINY, "--seed", "5", "--folds", "3", "--nets", "2", "--out", "run", cwd=folder))

    return shared(tmp_path_factory, "other run", make) / "run"
