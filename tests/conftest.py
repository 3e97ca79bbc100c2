"""What several test files share: real data if it is there, a few digits, and one finished run."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from filelock import FileLock

from tenfold.data.digits import Digits

# Tests that were started in the background have Ctrl-C ignored, and what they start would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

SMOKE = ["run", "--preset", "smoke", "--source", "sample"]


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder with the competition's files and MNIST."""
    folder = os.environ.get("TENFOLD_DATA")
    if not folder:
        pytest.skip("TENFOLD_DATA names no folder with the real files")
    return Path(folder).resolve()


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder for this session, so that tests leave the user's alone."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def own_cache(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same, switched on."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    return cache


@pytest.fixture(autouse=True)
def own_weights() -> None:
    """Nets that a test builds begin with the same weights each time."""
    torch.manual_seed(0)


def tenfold(*arguments: str | Path, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """The command as a person runs it, in a process of its own."""
    # A test that drew a figure in this process has set where matplotlib keeps its list of fonts.
    inherited = {name: value for name, value in os.environ.items() if name != "MPLCONFIGDIR"}
    return subprocess.run(
        [sys.executable, "-m", "tenfold.cli", *map(str, arguments)],
        cwd=cwd,
        env=inherited | environment,
        capture_output=True,
        text=True,
        timeout=600,
    )


@pytest.fixture
def browser() -> Iterator[Any]:
    """An installed Chromium, driven by Playwright."""
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no chromium is installed (name one in CHROMIUM)")
    arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with pytest.importorskip("playwright.sync_api").sync_playwright() as play:
        opened = play.chromium.launch(executable_path=chromium, args=arguments)
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


@pytest.fixture(scope="session")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Watched:
    """A smoke run on the sample, with a home, a working folder and a folder for temporary files of its own.

    The processes that share the tests out among them share the one run.
    """
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    place = shared / "Läufe – 数字 "
    with FileLock(shared / "watched.lock"):
        if not (shared / "watched.json").exists():
            before, after = watched_run(place)
            (shared / "watched.json").write_text(json.dumps([before, after]))
    return Watched(place / "here" / "run", *json.loads((shared / "watched.json").read_text()))


def watched_run(place: Path) -> tuple[dict[str, str], dict[str, str]]:
    """The smoke run in `place`, and what lay around it before and after."""
    here, home, temporary = (place / name for name in ("here", "home", "tmp"))
    for folder in (here / "data" / "MNIST" / "raw", home, temporary):
        folder.mkdir(parents=True)
    (here / "data" / "train.csv").write_bytes(b"not even looked at")

    def listed() -> dict[str, str]:
        paths = [path for path in place.rglob("*") if here / "run" not in (path, *path.parents)]
        content = {path: path.read_bytes() if path.is_file() else b"" for path in paths}
        return {str(path.relative_to(place)): hashlib.sha256(data).hexdigest() for path, data in content.items()}

    before = listed()
    own = {"HOME": str(home), "XDG_CACHE_HOME": str(home / ".cache"), "TMPDIR": str(temporary)}
    done = tenfold(*SMOKE, "--out", "run", cwd=here, **own)
    assert done.returncode == 0, done.stderr
    return before, listed()


@pytest.fixture(scope="session")
def finished_run(watched: Watched) -> Path:
    """The folder of a smoke run on the sample."""
    return watched.run
