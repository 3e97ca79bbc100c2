"""Whatever happens to a run is said in a sentence, and the same command ends as if it had not happened."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import random
import re
import shutil
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from conftest import Watched, few_digits, tenfold
from test_cli import COMMANDS, refused

from digit_recognizer import rows
from tenfold.errors import RunFailed
from tenfold.orchestration import pool
from tenfold.sources import sample
from tenfold.sources.mnist import MNIST

# The smallest run that trains every kind of net and writes every file.
TINY = [
    *("run", "--preset", "smoke", "--source", "sample", "--workers", "2", "--threads", "1"),
    *("--net.channels", "4", "8", "--net.tta-shift-px", "0", "--light.channels", "4", "8", "--light.epochs", "2"),
    *("--fit.epoch-images", "1", "--cgan.share", "0", "--cgan.width", "4", "--cgan.z-dim", "8"),
    *("--generator.epochs", "2", "--cgan.epoch-images", "1"),
]
TELLS_TIMES = {"metrics.json", "metrics.jsonl", "report.html", "done.json", ".lock"}  # the last but one has hashes
UNKNOWN_USER = ("--map-user=54321", "--map-group=54321")


def contents(run: Path) -> dict[str, bytes]:
    """Every file of a run, hidden ones too, save those of its top folder that tell times."""
    files = {str(path.relative_to(run)): path for path in run.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in files.items() if name not in TELLS_TIMES}


def start(home: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tenfold.cli", *TINY, "--out", "run"],
        cwd=home,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def at_work(home: Path) -> dict[int, str]:
    """The processes whose working folder is `home`, with their command lines."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            if (process / "cwd").readlink() == home:
                found[int(process.name)] = (process / "cmdline").read_text().replace("\0", " ")
    return found


def workers(home: Path) -> list[int]:
    return [process for process, command in at_work(home).items() if "spawn_main" in command]


def wait_until(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def require_nobody_at_work(home: Path) -> None:
    wait_until(lambda: not at_work(home))


def isolated(*flags: str) -> list[str]:
    """The command that cuts off what follows it from the rest of the machine; a skip where that is not permitted."""
    command = ["unshare", *flags]
    try:
        done = subprocess.run([*command, "true"], capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("unshare is not installed")
    if done.returncode:
        pytest.skip(f"unshare is not permitted here ({done.stderr.strip()})")
    return command


def one_sentence(said: str) -> str:
    assert said.startswith("tenfold: ") and said.count("\n") == 1 and "Traceback" not in said, said
    return said


@dataclass(frozen=True)
class Undisturbed:
    """What the tiny run leaves where nothing happens to it, and how long it takes."""

    contents: dict[str, bytes]
    seconds: float

    def unlike(self, run: Path) -> list[str]:
        """The files in which another run differs."""
        found = contents(run)
        names = found.keys() | self.contents.keys()
        return sorted(name for name in names if found.get(name) != self.contents.get(name))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    home = tmp_path_factory.mktemp("undisturbed")
    started = time.monotonic()
    done = tenfold(*TINY, "--out", "run", cwd=home)
    assert done.returncode == 0, done.stderr
    return Undisturbed(contents(home / "run"), time.monotonic() - started)


@pytest.mark.slow
def test_a_run_killed_at_twenty_random_moments_ends_with_the_same_bytes(
    undisturbed: Undisturbed, tmp_path: Path
) -> None:
    """Each start goes on from the kill before; a run that got to its end meanwhile is compared, and begun anew."""
    moments = random.Random(os.environ.get("TENFOLD_KILL_SEED", "20"))
    span = min(undisturbed.seconds, 30)  # a busy machine would have this take an hour
    kills = 0
    while True:
        running = start(tmp_path)
        with running, contextlib.suppress(subprocess.TimeoutExpired):
            running.wait(moments.uniform(0.1, 0.45) * span if kills < 20 else None)
            assert running.returncode == 0 and running.stderr and running.stderr.read() == ""
            assert undisturbed.unlike(tmp_path / "run") == []
            if kills >= 20:
                return
            shutil.rmtree(tmp_path / "run")
            continue
        running.kill()
        running.wait()
        kills += 1
        require_nobody_at_work(tmp_path)


def test_two_runs_in_one_folder_are_one_too_many(tmp_path: Path) -> None:
    with start(tmp_path) as first:
        try:
            wait_until((tmp_path / "run" / "environment.json").exists)
            before = {path.name for path in (tmp_path / "run").iterdir() if path.suffix != ".part"}
            said = refused(*TINY, "--out", "run", cwd=tmp_path)
            assert "run: another tenfold is running in it; wait for it, or give another --out" in said
            assert {path.name for path in (tmp_path / "run").iterdir()} >= before and first.poll() is None
        finally:
            first.kill()


ENDINGS = [
    ("driver", signal.SIGTERM, 130, "stopped; the same command continues where this one was"),
    ("worker", signal.SIGKILL, 1, "most likely for want of memory; the same command continues from the last epoch"),
    ("driver", signal.SIGINT, 130, "stopped; the same command continues where this one was"),
    ("driver", signal.SIGKILL, -signal.SIGKILL, None),
]


@pytest.mark.slow
def test_whatever_ends_a_run_leaves_nobody_behind_and_it_continues(undisturbed: Undisturbed, tmp_path: Path) -> None:
    moments = random.Random(1)
    for whom, how, code, sentence in ENDINGS:
        with start(tmp_path) as running:
            wait_until(lambda: workers(tmp_path))
            time.sleep(moments.uniform(0, 2))  # while they import, or while they train
            os.kill(running.pid if whom == "driver" else workers(tmp_path)[0], how)
            assert running.stderr
            said = running.stderr.read()
            assert running.wait(60) == code, said
        assert sentence is None or sentence in one_sentence(said)
        require_nobody_at_work(tmp_path)
    done = tenfold(*TINY, "--out", "run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert undisturbed.unlike(tmp_path / "run") == []


FULL = """
mount -t tmpfs -o size=4k tmpfs runs || exit 99
for kib in 8 48 128 288 560 620 65536; do
    mount -o remount,size="$kib"k runs
    "$@" > "$kib".out 2> "$kib".err
    echo $? > "$kib".code
done
cp -a runs/run kept
"""


@pytest.mark.slow
def test_a_disk_that_is_full_again_and_again_costs_nothing_but_time(undisturbed: Undisturbed, tmp_path: Path) -> None:
    """A disk of a few KiB, made a little larger whenever the run has stopped on it."""
    (tmp_path / "runs").mkdir()
    command = [sys.executable, "-m", "tenfold.cli", *TINY, "--out", "runs/run"]
    script = [*isolated("--map-root-user", "--mount"), "sh", "-c", FULL, "sh", *command]
    subprocess.run(script, cwd=tmp_path, check=True)
    codes = {int(path.stem): int(path.read_text()) for path in tmp_path.glob("*.code")}
    stopped = sorted(kib for kib, code in codes.items() if code)
    assert len(stopped) >= 3 and codes[65536] == 0
    for kib in stopped:
        said = one_sentence((tmp_path / f"{kib}.err").read_text())
        assert codes[kib] == 1 and "No space left on device" in said and "runs/run/" in said, said
    assert undisturbed.unlike(tmp_path / "kept") == []


READ_ONLY = """
mount --bind shelf shelf && mount -o remount,bind,ro shelf || exit 99
for command in "run --source sample --out shelf/old" \
    "generate 12 --model shelf/generator.onnx --out shelf/digits.png" \
    "predict digits.csv --model shelf/classifier.onnx --out shelf/answers.csv" \
    "generate 12 --model shelf/generator.onnx --out digits.png"; do
    "$0" -m tenfold.cli $command > /dev/null
    echo "$?"
done
"""


def test_a_folder_that_may_only_be_read_is_said_and_left_as_it_is(finished_run: Path, tmp_path: Path) -> None:
    shelf = tmp_path / "shelf"
    (shelf / "old").mkdir(parents=True)
    for name in ("settings.toml", ".lock"):
        (shelf / "old" / name).touch()
    for name in ("classifier.onnx", "generator.onnx"):
        shutil.copyfile(finished_run / name, shelf / name)
    (tmp_path / "digits.csv").write_bytes(rows.render(few_digits(3).images))
    before = contents(shelf)
    done = subprocess.run(
        [*isolated("--map-root-user", "--mount"), "sh", "-c", READ_ONLY, sys.executable],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.stdout.split() == ["2", "1", "1", "0"], done.stderr
    places = ["shelf/old", "shelf/digits.png", "shelf/answers.csv"]
    said = done.stderr.splitlines()
    assert len(said) == len(places)
    for sentence, place in zip(said, places, strict=True):
        assert sentence.startswith(f"tenfold: {place}: ") and "Read-only file system" in sentence
    assert contents(shelf) == before and (tmp_path / "digits.png").stat().st_size > 100


def test_digits_that_changed_between_two_starts_are_refused_until_they_are_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object) -> None:
        raise RunFailed("stopped here")

    monkeypatch.setattr(pool, "run_all", stopped)
    monkeypatch.setattr(MNIST, "mirrors", ["http://127.0.0.1:9/"])
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    digits = few_digits(300)
    train = tmp_path / "data" / "train.csv"
    train.parent.mkdir()
    train.write_bytes(rows.render(digits.images, digits.labels))
    (tmp_path / "data" / "test.csv").write_bytes(rows.render(few_digits(20, seed=5).images))
    command = ["run", "--preset", "smoke", "--source", "kaggle", "--out", "run"]
    assert "stopped here" in refused(*command, cwd=tmp_path, code=1)
    images = digits.images.copy()
    images[7, 3, 3] ^= 1
    train.write_bytes(rows.render(images, digits.labels))
    before = contents(tmp_path / "run")
    said = refused(*command, cwd=tmp_path)
    assert "run: was started on other digits (300 to train, 20 to test); bring those back, give another --out" in said
    assert contents(tmp_path / "run") == before
    train.write_bytes(rows.render(digits.images, digits.labels))
    assert "stopped here" in refused(*command, cwd=tmp_path, code=1)


def homeless(*flags: str) -> list[str]:
    """For a user whom the system does not know, without HOME or any such variable, and `flags` on top."""
    known = ("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "USER", "LOGNAME", "USERNAME")
    return [*isolated(*UNKNOWN_USER, *flags), "env", *(f"--unset={name}" for name in known)]


def test_without_a_home_it_is_said_what_to_set(tmp_path: Path) -> None:
    (tmp_path / "data/MNIST/raw").mkdir(parents=True)
    for name, _ in MNIST.resources:
        (tmp_path / "data/MNIST/raw" / Path(name).name).touch()
    command = [sys.executable, "-m", "tenfold.cli", "run", "--source", "mnist", "--out", "run"]
    done = subprocess.run([*homeless(), *command], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2
    assert "no home folder to keep things in; set XDG_CACHE_HOME to a folder of yours" in one_sentence(done.stderr)
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_without_a_home_credentials_are_missing_and_no_more(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tenfold.cli", "submissions", "--limit-s", "60"]
    done = subprocess.run([*homeless("--net"), *command], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 4 and "Kaggle credentials were not found; make a token" in one_sentence(done.stderr)


def test_without_a_network_it_is_said_soon_what_is_missing(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tenfold.cli", "run", "--source", "mnist", "--out", "run"]
    done = subprocess.run(
        [*isolated("--map-root-user", "--net"), *command],
        cwd=tmp_path,
        env=os.environ | {"XDG_CACHE_HOME": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 2 and "(no network); put its four archives there" in one_sentence(done.stderr)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_run_needs_neither_network_nor_home_nor_a_known_user(undisturbed: Undisturbed, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tenfold.cli", *TINY, "--out", "run"]
    done = subprocess.run([*homeless("--net"), *command], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stderr) == (0, "")
    assert undisturbed.unlike(tmp_path / "run") == []


def in_a_terminal(columns: int, *arguments: str, cwd: Path) -> tuple[int, str]:
    """Exit code of a command whose output is a terminal so wide, and all that came out, as it came."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    plain = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "NO_COLOR")}
    running = subprocess.Popen(
        [sys.executable, "-m", "tenfold.cli", *arguments],
        cwd=cwd,
        env=plain | {"TERM": "xterm"},
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    said = b"".join(_until_closed(ours))
    os.close(ours)
    return running.wait(60), said.decode()


def _until_closed(terminal: int) -> Iterator[bytes]:
    with contextlib.suppress(OSError):  # which is how a terminal ends
        while piece := os.read(terminal, 65536):
            yield piece


@pytest.mark.parametrize("command", [[], ["run"], ["predict"]], ids=" ".join)
def test_help_fits_a_terminal_of_40_columns(command: list[str], tmp_path: Path) -> None:
    code, said = in_a_terminal(40, *command, "--help", cwd=tmp_path)
    shown = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", said).splitlines()
    assert code == 0 and max(map(len, shown)) <= 40
    text = " ".join(shown)
    assert "Usage: tenfold" in text and "Traceback" not in text
    assert all(name in text for name in ([] if command else COMMANDS))


@pytest.mark.slow
def test_a_run_in_a_terminal_of_40_columns_says_all_it_has_to(undisturbed: Undisturbed, tmp_path: Path) -> None:
    code, said = in_a_terminal(40, *TINY, "--out", "run", cwd=tmp_path)
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]|\s+", " ", said)
    assert code == 0 and "Traceback" not in text and "Exception" not in text, said
    for task in ("fold-0-net-0", "fold-1-net-0", "light", "generator"):
        assert f"{task}: 2 epochs in " in text
    assert "cross-validation: " in text and "written in run: submission.csv" in text
    assert undisturbed.unlike(tmp_path / "run") == []


def test_any_letters_in_a_path_will_do(finished_run: Path, tmp_path: Path) -> None:
    """A terminal that can't show them gets them escaped. The finished run that tests share lies on such a path too."""
    home = tmp_path / "Zähl mich, №7 – 数字"
    home.mkdir()
    assert not str(finished_run).isascii() and " " in str(finished_run)
    for name in ("classifier.onnx", "generator.onnx"):
        shutil.copyfile(finished_run / name, home / f"é {name}")
    (home / "Prüfung.csv").write_bytes(rows.render(sample.load()[1].images))
    for command in (
        ("predict", "Prüfung.csv", "--model", "é classifier.onnx", "--out", "Antwort ß.csv"),
        ("generate", "0123", "--model", "é generator.onnx", "--out", "Ziffern é.png"),
    ):
        done = tenfold(*command, cwd=home, PYTHONIOENCODING="ascii")
        assert (done.returncode, done.stderr) == (0, "")
    assert "Ziffern \\xe9.png is written" in done.stdout
    assert (home / "Antwort ß.csv").read_bytes() == (finished_run / "submission.csv").read_bytes()
    assert (home / "Ziffern é.png").stat().st_size > 100


def test_a_run_writes_in_its_folder_alone(watched: Watched) -> None:
    """Besides the list of fonts, in the cache."""
    kept = "home/.cache/tenfold/matplotlib"
    lists = {name for name in watched.after if name.startswith(kept) or kept.startswith(f"{name}/")}
    assert {name: data for name, data in watched.after.items() if name not in lists - {"home"}} == watched.before
    assert any(name.startswith("here/data/") for name in watched.before)


@pytest.mark.slow
def test_kaggles_files_are_only_read(tmp_path: Path) -> None:
    digits = few_digits(600)
    data = tmp_path / "data"
    data.mkdir()
    (data / "train.csv").write_bytes(rows.render(digits.images[:500], np.arange(500) % 10))
    (data / "test.csv").write_bytes(rows.render(digits.images[500:]))
    before = {path: (path.lstat().st_mtime_ns, path.read_bytes()) for path in data.rglob("*")}
    asked = ["kaggle" if part == "sample" else part for part in TINY]
    nowhere = {"https_proxy": "http://127.0.0.1:9", "XDG_CACHE_HOME": str(tmp_path / "cache")}
    done = tenfold(*asked, "--out", "run", cwd=tmp_path, **nowhere)
    assert done.returncode == 0, done.stderr
    assert {path: (path.lstat().st_mtime_ns, path.read_bytes()) for path in data.rglob("*")} == before
    assert {path.name for path in tmp_path.iterdir()} == {"cache", "data", "run"}
    assert [path.name for path in (tmp_path / "cache" / "tenfold").iterdir()] == ["matplotlib"]  # its list of fonts
