"""Whatever happens to a run, one sentence says it, and the same command ends as if it had not happened."""

from __future__ import annotations

import contextlib
import fcntl
import json
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
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from conftest import (
    COMMANDS,
    HANG_S,
    TINY,
    Watched,
    few_digits,
    in_process,
    one_sentence,
    refused,
    succeeded,
    tenfold,
    wait_until,
)

from digit_recognizer import rows
from tenfold.errors import RunFailed
from tenfold.orchestration import pool
from tenfold.sources import sample
from tenfold.sources.mnist import MNIST
from tenfold.storage import run_contents
from tenfold.storage.run_contents import LOCK

TELLS_TIMES = {"metrics.json", "metrics.jsonl", "report.html", "done.json", LOCK}  # done.json has hashes
UNKNOWN_USER = ("--map-user=54321", "--map-group=54321")


def contents(run: Path) -> dict[str, bytes]:
    """Every file of a run, hidden ones too, save those of its top folder that tell times."""
    files = {str(path.relative_to(run)): path for path in run.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in files.items() if name not in TELLS_TIMES}


def start(home: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tenfold", *TINY, "--out", "run"],
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
    return [process for process, command in at_work(home).items() if "import serve" in command]


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


ONE_AFTER_ANOTHER = """
import contextlib, io, json, os, shlex, sys
from tenfold.cli import status
for command in sys.argv[1:]:
    arguments = shlex.split(command)
    if arguments[0] == "env":
        os.environ.update([arguments[1].split("=")])
        del arguments[:2]
    error = io.StringIO()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(error):
        code = status(arguments)
    print(json.dumps([code, error.getvalue()]))
"""


def one_after_another(commands: list[str], launch: list[str], cwd: Path) -> list[tuple[int, str]]:
    """Exit code and stderr of several commands in one process, which `launch` starts."""
    program = [sys.executable, "-c", ONE_AFTER_ANOTHER, *commands]
    done = subprocess.run([*launch, *program], cwd=cwd, capture_output=True, text=True, timeout=HANG_S)
    assert done.returncode == 0, done.stderr
    return [tuple(json.loads(line)) for line in done.stdout.splitlines()]


@dataclass(frozen=True)
class Undisturbed:
    """What the tiny run leaves where nothing happens to it, and how long it takes."""

    contents: dict[str, bytes]
    seconds: float

    def unlike(self, run: Path) -> list[str]:
        """The files in which another run differs."""
        other = contents(run)
        names = other.keys() | self.contents.keys()
        return sorted(name for name in names if other.get(name) != self.contents.get(name))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    home = tmp_path_factory.mktemp("undisturbed")
    started = time.monotonic()
    succeeded(tenfold(*TINY, "--out", "run", cwd=home))
    return Undisturbed(contents(home / "run"), time.monotonic() - started)


@pytest.mark.slow
def test_a_run_killed_at_twenty_moments_has_the_same_bytes(undisturbed: Undisturbed, tmp_path: Path) -> None:
    """Each start continues from the kill before. A run that ends between two kills is compared, and started afresh."""
    rng = random.Random(os.environ.get("TENFOLD_KILL_SEED", "20"))
    span_s = min(undisturbed.seconds, 30)  # a busy machine would have this take an hour
    kills = 0
    while kills < 20:
        running = start(tmp_path)
        try:
            _, message = running.communicate(timeout=rng.uniform(0.1, 0.45) * span_s)
        except subprocess.TimeoutExpired:
            running.kill()
            running.communicate()
            kills += running.returncode == -signal.SIGKILL
            require_nobody_at_work(tmp_path)
        else:
            assert (running.returncode, message) == (0, "")
            assert undisturbed.unlike(tmp_path / "run") == []
            shutil.rmtree(tmp_path / "run")
    succeeded(tenfold(*TINY, "--out", "run", cwd=tmp_path))
    assert undisturbed.unlike(tmp_path / "run") == []


def test_two_runs_in_one_folder_are_one_too_many(tmp_path: Path) -> None:
    with start(tmp_path) as first:
        try:
            wait_until((tmp_path / "run" / "environment.json").exists)
            before = {path.name for path in (tmp_path / "run").iterdir() if path.suffix != ".part"}
            assert "run: another tenfold is running" in refused(*TINY, "--out", "run", cwd=tmp_path)
            assert {path.name for path in (tmp_path / "run").iterdir()} >= before and first.poll() is None
        finally:
            first.kill()


ENDINGS = [
    ("driver", signal.SIGTERM, 130, "stopped; the same command "),
    ("worker", signal.SIGKILL, 1, "memory ran out; the same command "),
    ("driver", signal.SIGINT, 130, "stopped; the same command "),
    ("driver", signal.SIGKILL, -signal.SIGKILL, None),
]


@pytest.mark.slow
def test_an_ended_run_leaves_no_process_and_continues(undisturbed: Undisturbed, tmp_path: Path) -> None:
    rng = random.Random(1)
    for target, how, code, part in ENDINGS:
        with start(tmp_path) as running:
            wait_until(lambda: workers(tmp_path))
            time.sleep(rng.uniform(0, 2))  # while they import, or while they train
            os.kill(running.pid if target == "driver" else workers(tmp_path)[0], how)
            _, message = running.communicate(timeout=HANG_S)
        assert running.returncode == code, message
        assert part is None or part in one_sentence(message)
        require_nobody_at_work(tmp_path)
    succeeded(in_process(*TINY, "--out", "run", cwd=tmp_path))
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
def test_a_disk_that_is_full_again_and_again_costs_only_time(undisturbed: Undisturbed, tmp_path: Path) -> None:
    """A disk of a few KiB, made a little larger whenever the run has stopped on it."""
    (tmp_path / "runs").mkdir()
    command = [sys.executable, "-m", "tenfold", *TINY, "--out", "runs/run"]
    script = [*isolated("--map-root-user", "--mount"), "sh", "-c", FULL, "sh", *command]
    subprocess.run(script, cwd=tmp_path, check=True)
    codes = {int(path.stem): int(path.read_text()) for path in tmp_path.glob("*.code")}
    stopped = sorted(kib for kib, code in codes.items() if code)
    assert len(stopped) >= 3 and codes[65536] == 0
    for kib in stopped:
        sentence = one_sentence((tmp_path / f"{kib}.err").read_text())
        assert codes[kib] == 1 and "No space left on device" in sentence and "runs/run/" in sentence
    assert undisturbed.unlike(tmp_path / "kept") == []


READ_ONLY = [
    ("run --source sample --out shelf/old", 2),
    ("generate 12 --model shelf/generator.onnx --out shelf/digits.png", 1),
    ("predict digits.csv --model shelf/classifier.onnx --out shelf/answers.csv", 1),
    ("generate 12 --model shelf/generator.onnx --out digits.png", 0),
]


def test_a_read_only_folder_is_named_and_left_as_it_is(finished_run: Path, tmp_path: Path) -> None:
    shelf = tmp_path / "shelf"
    (shelf / "old").mkdir(parents=True)
    run_contents.mark(shelf / "old")
    (shelf / "old" / LOCK).touch()
    for name in ("classifier.onnx", "generator.onnx"):
        shutil.copyfile(finished_run / name, shelf / name)
    (tmp_path / "digits.csv").write_bytes(rows.render(few_digits(3).images))
    before = contents(shelf)
    remounted = 'mount --bind shelf shelf && mount -o remount,bind,ro shelf && exec "$@"'
    launch = [*isolated("--map-root-user", "--mount"), "sh", "-c", remounted, "sh"]
    done = one_after_another([command for command, _ in READ_ONLY], launch, tmp_path)
    assert [code for code, _ in done] == [code for _, code in READ_ONLY]
    folders = ["shelf/old", "shelf/digits.png", "shelf/answers.csv"]
    for (_, message), folder in zip(done[:-1], folders, strict=True):
        assert one_sentence(message).startswith(f"tenfold: {folder}: ") and "Read-only file system" in message
    assert done[-1][1] == ""
    assert contents(shelf) == before and (tmp_path / "digits.png").stat().st_size > 100


def test_changed_digits_are_refused_until_they_are_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object) -> None:
        raise RunFailed("stopped here")

    monkeypatch.setattr(pool, "failure", stop)
    monkeypatch.setattr(MNIST, "mirrors", ["http://127.0.0.1:9/"])
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    digits = few_digits(300)
    train = tmp_path / "data" / "train.csv"
    train.parent.mkdir()
    train.write_bytes(rows.render(digits.images, digits.labels))
    (tmp_path / "data" / "test.csv").write_bytes(rows.render(few_digits(20, seed=5).images))
    command = [*TINY, "--source", "kaggle", "--out", "run"]
    assert "stopped here" in refused(*command, cwd=tmp_path, code=1)
    images = digits.images.copy()
    images[7, 3, 3] ^= 1
    train.write_bytes(rows.render(images, digits.labels))
    before = contents(tmp_path / "run")
    assert "run: was started on other digits (300 to train, 20 to test)" in refused(*command, cwd=tmp_path)
    assert contents(tmp_path / "run") == before
    train.write_bytes(rows.render(digits.images, digits.labels))
    assert "stopped here" in refused(*command, cwd=tmp_path, code=1)


def homeless(*flags: str) -> list[str]:
    """For a user whom the system does not know, without HOME or any such variable, and `flags` on top."""
    known = ("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "USER", "LOGNAME", "USERNAME")
    return [*isolated(*UNKNOWN_USER, *flags), "env", *(f"--unset={name}" for name in known)]


def test_without_a_home_or_a_network_a_sentence_says_so(tmp_path: Path) -> None:
    (tmp_path / "archives/MNIST/raw").mkdir(parents=True)
    for name, _ in MNIST.resources:
        (tmp_path / "archives/MNIST/raw" / Path(name).name).touch()
    commands = [
        "run --source mnist --data archives --out run",
        "submissions --limit-s 60",
        "env XDG_CACHE_HOME=cache run --source mnist --data nowhere --out run",
    ]
    done = one_after_another(commands, homeless("--net"), tmp_path)
    assert [code for code, _ in done] == [2, 4, 2]
    home, credentials, network = (one_sentence(message) for _, message in done)
    assert "no home folder" in home and "set XDG_CACHE_HOME" in home
    assert "Kaggle credentials were not found" in credentials
    assert "no network" in network and "archives" in network
    assert {path.name for path in tmp_path.iterdir()} <= {"archives", "~"}  # the latter is the kaggle command's


@pytest.mark.slow
def test_a_run_needs_no_network_no_home_and_no_known_user(undisturbed: Undisturbed, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tenfold", *TINY, "--out", "run"]
    done = subprocess.run([*homeless("--net"), *command], cwd=tmp_path, capture_output=True, text=True, timeout=HANG_S)
    assert (done.returncode, done.stderr) == (0, "")
    assert undisturbed.unlike(tmp_path / "run") == []


def in_a_terminal(columns: int, *arguments: str, cwd: Path) -> tuple[int, str]:
    """Exit code of a command whose output is a terminal so wide, and all that came out, as it came."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    plain = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "NO_COLOR")}
    running = subprocess.Popen(
        [sys.executable, "-m", "tenfold", *arguments],
        cwd=cwd,
        env=plain | {"TERM": "xterm"},
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    shown = b"".join(_until_closed(ours))
    os.close(ours)
    return running.wait(HANG_S), shown.decode()


def _until_closed(terminal: int) -> Iterator[bytes]:
    with contextlib.suppress(OSError):  # which is how a terminal ends
        while piece := os.read(terminal, 65536):
            yield piece


@pytest.mark.parametrize("command", [[], ["run"], ["predict"]], ids=" ".join)
def test_help_fits_a_terminal_of_40_columns(command: list[str], tmp_path: Path) -> None:
    code, shown = in_a_terminal(40, *command, "--help", cwd=tmp_path)
    lines = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown).splitlines()
    assert code == 0 and max(map(len, lines)) <= 40
    text = " ".join(lines)
    assert "Usage: tenfold" in text and "Traceback" not in text
    assert all(name in text for name in ([] if command else COMMANDS))


@pytest.mark.slow
def test_a_run_says_all_in_a_terminal_of_40_columns(undisturbed: Undisturbed, tmp_path: Path) -> None:
    code, shown = in_a_terminal(40, *TINY, "--out", "run", cwd=tmp_path)
    text = " ".join(re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", " ", shown).split())
    assert code == 0 and "Traceback" not in text and "Exception" not in text, shown
    for task in ("fold-0-net-0", "fold-1-net-0", "light", "generator"):
        assert f"{task}: 2 epochs in " in text
    assert "cross-validation 0." in text and "errors in 4,000" in text and "written to run: submission.csv" in text
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
    assert "Ziffern \\xe9.png" in done.stdout
    assert (home / "Antwort ß.csv").read_bytes() == (finished_run / "submission.csv").read_bytes()
    assert (home / "Ziffern é.png").stat().st_size > 100


def test_a_run_writes_in_its_folder_alone(watched: Watched) -> None:
    """Besides the list of fonts, in the cache."""
    fonts = "home/.cache/tenfold/matplotlib"
    lists = {name for name in watched.after if name.startswith(fonts) or fonts.startswith(f"{name}/")}
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
    nowhere = {"https_proxy": "http://127.0.0.1:9", "XDG_CACHE_HOME": str(tmp_path / "cache")}
    succeeded(tenfold(*TINY, "--source", "kaggle", "--out", "run", cwd=tmp_path, **nowhere))
    assert {path: (path.lstat().st_mtime_ns, path.read_bytes()) for path in data.rglob("*")} == before
    assert {path.name for path in tmp_path.iterdir()} == {"cache", "data", "run"}
    assert [path.name for path in (tmp_path / "cache" / "tenfold").iterdir()] == ["matplotlib"]  # its list of fonts
