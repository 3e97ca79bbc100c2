"""Tasks run side by side in processes of their own; no failure is lost and no process stays behind.

Each of those processes imports this file, which therefore imports no torch, nor conftest, which does.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tenfold.errors import BadInput, RunFailed
from tenfold.orchestration.pool import STOP_SIGNALS, Report, Task, run_all

Process = subprocess.Popen[bytes]

HANG_S = 600  # only a hang takes longer than this, however busy the machine


def send_process_id(argument: Any, report: Report) -> None:
    report((argument, os.getpid()))


def send_size(argument: bytes, report: Report) -> None:
    report(len(argument))


def fail_beside_a_sleeper(argument: tuple[type[Exception], Path], report: Report) -> None:
    error, id_file = argument
    wait_until(id_file.exists)
    raise error("it broke")


def kill_itself(argument: Any, report: Report) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def sleep(argument: Path, report: Report) -> None:
    """Write the process's id, then sleep until killed."""
    argument.with_suffix(".part").write_text(str(os.getpid()))
    argument.with_suffix(".part").rename(argument)
    time.sleep(HANG_S)
    argument.unlink()  # nobody killed it


def is_alive(process_id: int) -> bool:
    """Whether a process runs; a zombie, which its parent has not waited for yet, does not."""
    try:
        return Path(f"/proc/{process_id}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def wait_until(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + HANG_S
    while not true():
        assert time.monotonic() < deadline, "it hangs"
        time.sleep(0.02)


def test_tasks_take_turns_in_processes_beside_this_one() -> None:
    reports: list[tuple[int, int]] = []
    run_all([Task(f"task {n}", send_process_id, n) for n in range(20)], 2, reports.append)
    assert sorted(argument for argument, _ in reports) == list(range(20))
    processes = {process_id for _, process_id in reports}
    assert len(processes) in (1, 2) and os.getpid() not in processes
    assert not any(map(is_alive, processes))


@pytest.mark.parametrize(
    ("error", "raised"), [(BadInput, BadInput), (RunFailed, RunFailed), (OSError, RunFailed), (KeyError, RunFailed)]
)
def test_a_failure_comes_back_and_stops_the_other_tasks(
    error: type[Exception], raised: type[Exception], tmp_path: Path
) -> None:
    id_file = tmp_path / "sleeper"
    tasks = [Task("sleeper", sleep, id_file), Task("failing", fail_beside_a_sleeper, (error, id_file))]
    with pytest.raises(raised, match="it broke"):
        run_all(tasks, 2, lambda _: None)
    assert not is_alive(int(id_file.read_text()))


def test_a_killed_process_is_named_with_the_likely_cause() -> None:
    with pytest.raises(RunFailed, match=r"unlucky: its process was killed, .*memory"):
        run_all([Task("unlucky", kill_itself, None)], 1, lambda _: None)


def test_a_task_that_its_process_cannot_read_is_a_failure(monkeypatch: pytest.MonkeyPatch, capfd: Any) -> None:
    """Where it would wait for ever."""
    monkeypatch.setattr(sys.modules[__name__], "only_here", send_size, raising=False)
    monkeypatch.setattr(send_size, "__qualname__", "only_here")
    with pytest.raises(RunFailed, match=r"unlucky: its process ended with code 1; "):
        run_all([Task("unlucky", send_size, b"")], 1, lambda _: None)
    assert "only_here" in capfd.readouterr().err


def test_a_large_task_arrives_whole() -> None:
    sizes: list[int] = []
    run_all([Task("large", send_size, os.urandom(10**7))], 1, sizes.append)
    assert sizes == [10**7]


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[Process], None]], list[Process]]:
    """A function that has something done to each process right after its start; it returns the list of processes."""

    def after_start(action: Callable[[Process], None]) -> list[Process]:
        start, processes = subprocess.Popen, []

        def start_then_act(*arguments: Any, **options: Any) -> Process:
            process = start(*arguments, **options)
            processes.append(process)
            action(process)
            return process

        monkeypatch.setattr(subprocess, "Popen", start_then_act)
        return processes

    return after_start


def test_a_process_killed_before_it_has_its_task_is_named(started: Any) -> None:
    """The task is larger than any pipe, so sending it has to wait for a process that has ended."""
    started(lambda process: process.kill())
    with pytest.raises(RunFailed, match=r"unlucky: its process was killed"):
        run_all([Task("unlucky", send_size, bytes(10**7))], 1, lambda _: None)


@pytest.mark.parametrize("stop", sorted(STOP_SIGNALS))
def test_a_stop_during_a_start_leaves_no_process_behind(stop: signal.Signals, started: Any, tmp_path: Path) -> None:
    before = {name: signal.signal(name, signal.default_int_handler) for name in STOP_SIGNALS}
    try:
        processes = started(lambda _: signal.raise_signal(stop))
        with pytest.raises(KeyboardInterrupt):
            run_all([Task("sleeper", sleep, tmp_path / "sleeper")], 1, lambda _: None)
        assert [process.returncode for process in processes] == [-signal.SIGKILL]
        assert {signal.getsignal(name) for name in STOP_SIGNALS} == {signal.default_int_handler}
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)


# As a person writes a script: without a `__main__` guard.
DRIVER = """
import sys
from pathlib import Path
from test_pool import sleep
from tenfold.orchestration.pool import Task, run_all

run_all([Task("sleeper", sleep, Path(sys.argv[1]))], 1, print)
"""


def test_no_worker_outlives_a_killed_driver(tmp_path: Path) -> None:
    (tmp_path / "driver.py").write_text(DRIVER)
    id_file = tmp_path / "sleeper"
    path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    driver = subprocess.Popen([sys.executable, tmp_path / "driver.py", id_file], env=os.environ | {"PYTHONPATH": path})
    try:
        wait_until(lambda: id_file.exists() or driver.poll() is not None)
        worker = int(id_file.read_text())
        assert is_alive(worker)
    finally:
        driver.kill()
        driver.wait()
    wait_until(lambda: not is_alive(worker))


PROCESS_IDS = """
import os
from test_pool import send_process_id
from tenfold.orchestration.pool import Task, run_all

print("started")
reports = []
run_all([Task(f"task {n}", send_process_id, n) for n in range(2)], 2, reports.append)
assert sorted(n for n, _ in reports) == [0, 1] and len({os.getpid(), *(one for _, one in reports)}) == 3
print("ended")
"""
AS_A_DAEMON = f"""
import multiprocessing

if __name__ == "__main__":
    process = multiprocessing.get_context("spawn").Process(target=exec, args=({PROCESS_IDS!r}, {{}}), daemon=True)
    process.start()
    process.join()
"""


def run_program(arguments: list[str | Path], stdin: str = "") -> str:
    """What Python prints that runs a program which can import this file."""
    path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    environment = os.environ | {"PYTHONPATH": path}
    done = subprocess.run(
        [sys.executable, *arguments], input=stdin, env=environment, capture_output=True, text=True, timeout=HANG_S
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.parametrize("program", [PROCESS_IDS, AS_A_DAEMON], ids=["script", "daemon"])
def test_a_program_without_a_guard_starts_once(program: str, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(program)
    assert run_program([tmp_path / "script.py"]) == "started\nended\n"


def test_a_program_on_the_command_line_starts_once() -> None:
    assert run_program(["-c", PROCESS_IDS]) == "started\nended\n"


def test_a_program_from_stdin_starts_once() -> None:
    """The processes leave the rest of it unread."""
    assert run_program(["-"], PROCESS_IDS + "\nprint('the end')\n") == "started\nended\nthe end\n"


def test_a_path_that_the_program_added_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "added_later.py").write_text("def report_one(argument, report):\n    report(1)\n")
    monkeypatch.syspath_prepend(tmp_path)
    from added_later import report_one  # type: ignore[import-not-found]

    reports: list[int] = []
    run_all([Task("task", report_one, None)], 1, reports.append)
    assert reports == [1]


def test_without_any_process_this_one_does_the_work(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "executable", None)  # as in a program that embeds Python
    reports: list[tuple[int, int]] = []
    run_all([Task(f"task {n}", send_process_id, n) for n in range(3)], 2, reports.append)
    assert reports == [(n, os.getpid()) for n in range(3)]
    assert capsys.readouterr().out.startswith("no process can be started (")


def test_a_process_that_cannot_be_added_is_a_failure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Those that work are stopped, since memory or the limit on processes is at its end."""
    start, processes = subprocess.Popen, []

    def only_once(*arguments: Any, **options: Any) -> Process:
        if processes:
            raise BlockingIOError(11, "Resource temporarily unavailable")
        processes.append(start(*arguments, **options))
        return processes[0]

    monkeypatch.setattr(subprocess, "Popen", only_once)
    tasks = [Task(f"task {n}", sleep, tmp_path / str(n)) for n in range(2)]
    with pytest.raises(RunFailed, match=r"^task 1: no process can be started \(Resource temporarily unavailable\); "):
        run_all(tasks, 2, lambda _: None)
    assert processes[0].returncode == -signal.SIGKILL


def test_tasks_run_from_a_thread() -> None:
    reports: list[tuple[int, int]] = []
    thread = threading.Thread(target=run_all, args=([Task("task", send_process_id, 0)], 1, reports.append))
    thread.start()
    thread.join(HANG_S)
    assert [argument for argument, _ in reports] == [0]
