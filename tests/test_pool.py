"""Tasks run side by side in processes of their own, and nothing that goes wrong in one is lost or left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest

from tenfold.errors import BadInput, RunFailed
from tenfold.orchestration import pool
from tenfold.orchestration.pool import STOPS, Report, Task, _stops_put_off, run_all


def tell(argument: Any, report: Report) -> None:
    report({"said": argument, "process": os.getpid()})


def measure(argument: bytes, report: Report) -> None:
    report({"bytes": len(argument)})


def fail(argument: type[Exception], report: Report) -> None:
    raise argument("it broke")


def kill_itself(argument: Any, report: Report) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def sleep(argument: Path, report: Report) -> None:
    argument.write_text(str(os.getpid()))
    time.sleep(120)


def alive(process: int) -> bool:
    """Whether it still runs; a zombie that nobody has waited for does not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_every_task_runs_in_a_process_of_its_own_and_reports() -> None:
    heard: list[dict[str, Any]] = []
    run_all([Task(f"task {n}", tell, n) for n in range(3)], 2, heard.append)
    assert sorted(record["said"] for record in heard) == [0, 1, 2]
    assert len({record["process"] for record in heard} | {os.getpid()}) == 4


@pytest.mark.parametrize(
    ("error", "raised"), [(BadInput, BadInput), (RunFailed, RunFailed), (OSError, RunFailed), (KeyError, RunFailed)]
)
def test_what_a_task_raises_comes_back_and_stops_the_others(
    error: type[Exception], raised: type[Exception], tmp_path: Path
) -> None:
    started = time.monotonic()
    with pytest.raises(raised, match="it broke"):
        run_all([Task("sleeper", sleep, tmp_path / "pid"), Task("failing", fail, error)], 2, lambda _: None)
    assert time.monotonic() - started < 60
    if (tmp_path / "pid").exists():
        assert not alive(int((tmp_path / "pid").read_text()))


def test_a_killed_process_is_named_with_the_likely_cause() -> None:
    with pytest.raises(RunFailed, match=r"unlucky: its process was killed, most likely for want of memory"):
        run_all([Task("unlucky", kill_itself, None)], 1, lambda _: None)


def test_a_process_killed_before_it_has_its_task_is_named_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """A task larger than any pipe, so that handing it over must wait for a process that is no more."""
    whole = pool._started

    def killed_at_once(name: str) -> tuple[Connection, BaseProcess]:
        connection, process = whole(name)
        process.kill()
        return connection, process

    monkeypatch.setattr(pool, "_started", killed_at_once)
    with pytest.raises(RunFailed, match=r"unlucky: its process was killed, .* the same command continues"):
        run_all([Task("unlucky", tell, bytes(10**7))], 1, lambda _: None)


def test_a_large_task_arrives_whole() -> None:
    heard: list[dict[str, Any]] = []
    run_all([Task("large", measure, os.urandom(10**7))], 1, heard.append)
    assert heard == [{"bytes": 10**7}]


@pytest.mark.parametrize("stop", sorted(STOPS))
def test_a_stop_waits_for_what_must_not_be_cut_in_two(stop: signal.Signals) -> None:
    before = {name: signal.signal(name, signal.default_int_handler) for name in STOPS}
    done = False
    try:
        with pytest.raises(KeyboardInterrupt), _stops_put_off():
            signal.raise_signal(stop)
            done = True
        assert done
        assert [signal.getsignal(name) for name in STOPS] == [signal.default_int_handler] * 2
        with _stops_put_off():
            pass
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)


def test_no_worker_outlives_a_driver_that_was_killed_hard(tmp_path: Path) -> None:
    program = f"""
        import sys
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        from pathlib import Path
        from test_pool import sleep
        from tenfold.pool import Task, run_all
        if __name__ == "__main__":
            run_all([Task("sleeper", sleep, Path({str(tmp_path / "pid")!r}))], 1, print)
    """
    (tmp_path / "driver.py").write_text(textwrap.dedent(program))
    driver = subprocess.Popen([sys.executable, tmp_path / "driver.py"], cwd=tmp_path)
    try:
        deadline = time.monotonic() + 60
        while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        worker = int((tmp_path / "pid").read_text())
        assert alive(worker)
    finally:
        driver.kill()
        driver.wait()
    deadline = time.monotonic() + 10
    while alive(worker):
        assert time.monotonic() < deadline, "the worker lives on"
        time.sleep(0.05)
