"""What nothing foresaw ends in one sentence too: no memory, no terminal, strange paths, our own faults."""

from __future__ import annotations

import os
import pickle
import re
import resource
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import HANG_S, in_process, one_sentence, succeeded

from tenfold.cli.bug_report import PREFIX
from tenfold.cli.summary import command
from tenfold.errors import RunFailed, Unexpected
from tenfold.orchestration.pool import failure
from tenfold_onnx import model_file
from tenfold_onnx.content_hash import without_content_hash

COMMAND = [sys.executable, "-m", "tenfold"]


@pytest.fixture
def raising(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[Callable[[], object]], tuple[int, str]]:
    """A function that runs a command inside of which something else fails, and returns its exit code and sentence."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def run(work: Callable[[], object]) -> tuple[int, str]:
        monkeypatch.setattr(model_file, "describe", lambda *_, **__: work())
        done = in_process("info", "model.onnx", cwd=tmp_path)
        return done.returncode, one_sentence(done.stderr)

    return run


def divide_by_zero() -> float:
    return 1 / 0


def test_a_fault_of_ours_is_one_sentence_and_a_file_to_report(
    raising: Callable[[Callable[[], object]], tuple[int, str]], tmp_path: Path
) -> None:
    code, sentence = raising(divide_by_zero)
    (log,) = tmp_path.glob(f"{PREFIX}*.log")
    assert code == 1 and "a fault of this program (ZeroDivisionError: division by zero)" in sentence
    assert sentence.rstrip().endswith(f"please report it, with {log}")
    assert "tenfold info model.onnx" in log.read_text() and "in divide_by_zero" in log.read_text()


def test_a_fault_in_a_training_comes_back_whole() -> None:
    error = failure("light", divide_by_zero)
    assert isinstance(error, Unexpected) and str(error) == "light: ZeroDivisionError: division by zero"
    returned = pickle.loads(pickle.dumps(error))  # noqa: S301  # our own
    assert str(returned) == str(error) and "in divide_by_zero" in returned.details


ALLOCATIONS = {"numpy": lambda: np.empty(1 << 50), "torch": lambda: torch.empty(1 << 50)}


@pytest.mark.parametrize("allocate", ALLOCATIONS.values(), ids=ALLOCATIONS)
def test_memory_that_ran_out_is_named(
    allocate: Callable[[], object], raising: Callable[[Callable[[], object]], tuple[int, str]]
) -> None:
    code, sentence = raising(allocate)
    assert code == 1 and "memory ran out" in sentence
    error = failure("light", lambda: allocate() and None)
    assert type(error) is RunFailed and "light: memory ran out; the same command continues" in str(error)


@pytest.mark.parametrize("gigabytes", [1, 2, 3])
def test_little_address_space_gives_no_traceback(gigabytes: int, finished_run: Path, tmp_path: Path) -> None:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (gigabytes << 30, gigabytes << 30))

    done = subprocess.run(
        [*COMMAND, "report", finished_run], cwd=tmp_path, preexec_fn=limit, capture_output=True, text=True
    )
    assert "Traceback" not in done.stderr and done.returncode in (0, 1), done.stderr
    if done.returncode:
        assert done.stderr.splitlines()[-1].startswith("tenfold: ")


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", ">&- 2>&- <&-"])
def test_closed_streams_give_no_traceback(closed: str, tmp_path: Path) -> None:
    line = f"{shlex.join(COMMAND)} generate 12 --out digits.csv && {shlex.join(COMMAND)} predict digits.csv {closed}"
    done = subprocess.run(["sh", "-c", line], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0 and done.stderr == ""


def test_a_terminal_of_ascii_letters_is_enough(finished_run: Path, other_run: Path, tmp_path: Path) -> None:
    ascii_only = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(
        [*COMMAND, "compare", finished_run, other_run], cwd=tmp_path, env=os.environ | ascii_only, capture_output=True
    )
    assert done.returncode == 0 and done.stderr == b"" and rb"\xb1" in done.stdout  # the letter ±, escaped


def test_a_path_may_hold_any_bytes(finished_run: Path, other_run: Path, tmp_path: Path) -> None:
    strange = os.fsdecode(b"r\xffn \xe9")
    shutil.copytree(finished_run, tmp_path / strange)
    for arguments in (
        ["report", strange],
        ["compare", strange, other_run],
        ["export", strange, "--out", f"{strange} models"],
        ["blend", strange, other_run, "--out", f"{strange} blend"],
        ["compare", f"{strange} blend", strange],
    ):
        succeeded(in_process(*arguments, cwd=tmp_path))
    other_writer = tmp_path / strange / "other.onnx"
    other_writer.write_bytes(without_content_hash((finished_run / "classifier.onnx").read_bytes()))
    succeeded(in_process("info", other_writer, "--no-verify", cwd=tmp_path))


@pytest.mark.slow
def test_a_run_on_a_path_of_any_bytes_is_complete(tmp_path: Path) -> None:
    strange = os.fsdecode(b"r\xffn")
    arguments = ["run", "--preset", "smoke", "--source", "sample", "--data", strange, "--fit.epochs", "1"]
    arguments += ["--light.epochs", "1", "--out", f"{strange} run"]
    succeeded(in_process(*arguments, cwd=tmp_path))
    assert "is complete already" in succeeded(in_process(*arguments, cwd=tmp_path))


def test_a_printed_command_takes_a_path_that_begins_with_a_hyphen(tmp_path: Path, finished_run: Path) -> None:
    shutil.copytree(finished_run, tmp_path / "-run")
    line = command("report", Path("-run"))
    assert line == "tenfold report ./-run"
    succeeded(in_process(*shlex.split(line)[1:], cwd=tmp_path))


def catches_ctrl_c(process: int) -> bool:
    """Whether a process has a handler of its own for SIGINT."""
    status = Path(f"/proc/{process}/status").read_text()
    mask = re.search(r"^SigCgt:\s+([0-9a-f]+)$", status, re.MULTILINE)
    assert mask
    return bool(int(mask[1], 16) >> signal.SIGINT - 1 & 1)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc here, which says what a process catches")
@pytest.mark.parametrize("delay", [0.0, 0.1, 0.2, 0.4])
def test_ctrl_c_while_the_command_is_loaded_is_silent(delay: float, tmp_path: Path) -> None:
    process = subprocess.Popen([*COMMAND, "predict", "none.csv"], cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + HANG_S
    for state in (True, False):  # Python's own start, then ours
        while catches_ctrl_c(process.pid) != state:
            assert time.monotonic() < deadline and process.poll() is None
    time.sleep(delay)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=HANG_S)
    assert process.returncode in (-signal.SIGINT, 130, 2) and "Traceback" not in stderr, stderr
