"""Where tasks run: each in a fresh process, several side by side.

A task writes its results into the run's folder, so only progress comes back. One process per task bounds memory, and
lets a killed task be named.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Final

from tenfold.errors import BadInput, RunFailed

STOP_SIGNALS: Final = frozenset({signal.SIGINT, signal.SIGTERM})
PEER_GONE: Final = (EOFError, BrokenPipeError, ConnectionResetError)  # raised when the other process has ended

Report = Callable[[Any], None]


@dataclass(frozen=True)
class Task:
    """A function of a module, called as `work(argument, report)` in a process of its own."""

    name: str
    work: Callable[[Any, Report], None]
    argument: Any


def run_all(tasks: Iterable[Task], workers: int, report: Report) -> None:
    """Run the tasks, at most `workers` at a time; each is taken from `tasks` only when its turn comes.

    The first failure stops the others. Raises RunFailed, or the BadInput that a task raised.
    """
    waiting = iter(tasks)
    running: dict[Connection, tuple[Task, BaseProcess]] = {}
    try:
        while True:
            for task in islice(waiting, workers - len(running)):
                with _stops_deferred():
                    connection, process = _start(task.name)
                    running[connection] = task, process
                with suppress(*PEER_GONE):  # noticed below
                    connection.send(task)
            if not running:
                return
            for ready in wait(list(running)):
                assert isinstance(ready, Connection)
                task, process = running[ready]
                try:
                    kind, message = ready.recv()
                except PEER_GONE:  # after its last message
                    process.join()
                    del running[ready]
                    _check_exit(task, process)
                    continue
                if kind == "failed":
                    raise message
                report(message)
    finally:
        for _, process in running.values():
            process.kill()  # loses nothing: results appear whole or not at all
        for _, process in running.values():
            process.join()


def failure(name: str, work: Callable[[], None]) -> BadInput | RunFailed | None:
    """Do the `work` of a task in this process; return what went wrong as an exception that can be pickled."""
    try:
        work()
    except BadInput as error:
        return error
    except RunFailed as error:
        return RunFailed(f"{name}: {error}")
    except OSError as error:
        return RunFailed(f"{name}: {error}; make room or fix the cause, and the same command continues")
    except Exception as error:  # a bug of ours: show where
        return RunFailed(f"{name}: {type(error).__name__}: {error}\n{traceback.format_exc()}")
    return None


def _start(name: str) -> tuple[Connection, BaseProcess]:
    """A process that waits for its task.

    The task is sent afterwards instead of passed as an argument. Arguments are written into a pipe whose other end
    this process holds as well: if the new process were killed before it had read them, this one would wait forever.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(theirs,), name=name, daemon=True)
    resource_tracker.ensure_running()  # its own start would unblock the signals again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)  # inherited: only the driver reacts to a stop
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    theirs.close()
    return ours, process


@contextmanager
def _stops_deferred() -> Iterator[None]:
    """Delay Ctrl-C and SIGTERM until a new process has started and is listed among those to be killed.

    Blocking the signals would not do: another thread may receive one, and Python handles it in the main thread.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    caught: list[int] = []
    before: dict[signal.Signals, Any] = {}
    try:
        for stop in STOP_SIGNALS:
            before[stop] = signal.getsignal(stop)
            signal.signal(stop, lambda number, _: caught.append(number))
        yield
    finally:
        for stop, handler in before.items():
            signal.signal(stop, handler)
        for number in caught[:1]:
            signal.raise_signal(number)


def _check_exit(task: Task, process: BaseProcess) -> None:
    code = process.exitcode
    if code == -signal.SIGKILL:
        raise RunFailed(
            f"{task.name}: its process was killed, most likely because memory ran out; "
            "the same command continues from the last epoch (fewer --workers need less)"
        )
    if code:
        raise RunFailed(f"{task.name}: its process ended with code {code}; the same command continues")


def _work(connection: Connection) -> None:
    _exit_with_parent()
    with connection:
        try:
            task: Task = connection.recv()
        except PEER_GONE:
            return
        error = failure(
            task.name, lambda: task.work(task.argument, lambda record: connection.send(("progress", record)))
        )
        if error:
            connection.send(("failed", error))


def _exit_with_parent() -> None:
    """End this process as soon as its parent has ended, even by SIGKILL."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
