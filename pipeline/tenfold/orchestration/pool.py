"""Where tasks run: a fresh process each, several side by side.

A task writes its results into the run's folder, so nothing but progress passes back. A process a task keeps
memory bounded and lets a killed one be named.
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

STOPS: Final = frozenset({signal.SIGINT, signal.SIGTERM})
GONE: Final = (EOFError, BrokenPipeError, ConnectionResetError)  # what one process sees of another that has ended

Report = Callable[[dict[str, Any]], None]


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
                with _stops_put_off():
                    connection, process = _started(task.name)
                    running[connection] = task, process
                with suppress(*GONE):  # which is found out below
                    connection.send(task)
            if not running:
                return
            for ready in wait(list(running)):
                assert isinstance(ready, Connection)
                task, process = running[ready]
                try:
                    kind, message = ready.recv()
                except GONE:  # and it had said all it had to say
                    process.join()
                    del running[ready]
                    _check(task, process)
                    continue
                if kind == "failed":
                    raise message
                report(message)
    finally:
        for _, process in running.values():
            process.kill()  # nothing is lost: results appear whole or not at all
        for _, process in running.values():
            process.join()


def _started(name: str) -> tuple[Connection, BaseProcess]:
    """A process that waits for its task.

    The task is no argument of it: those are written into a pipe whose other end the driver holds as well, so
    that it would wait for ever, deaf to any stop, for a process that was killed before it had read them all.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(theirs,), name=name, daemon=True)
    resource_tracker.ensure_running()  # its own start would unblock the signals again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)  # inherited: a stop is the driver's to answer
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    theirs.close()
    return ours, process


@contextmanager
def _stops_put_off() -> Iterator[None]:
    """Let Ctrl-C and SIGTERM wait until a process is started whole, and stands among those to be killed.

    Blocking them would not do: another thread may take a signal, and Python answers it in the main one.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    caught: list[int] = []
    before: dict[signal.Signals, Any] = {}
    try:
        for stop in STOPS:
            before[stop] = signal.getsignal(stop)
            signal.signal(stop, lambda number, _: caught.append(number))
        yield
    finally:
        for stop, handler in before.items():
            signal.signal(stop, handler)
        for number in caught[:1]:
            signal.raise_signal(number)


def _check(task: Task, process: BaseProcess) -> None:
    code = process.exitcode
    if code == -signal.SIGKILL:
        raise RunFailed(
            f"{task.name}: its process was killed, most likely for want of memory; "
            "the same command continues from the last epoch (fewer --workers need less)"
        )
    if code:
        raise RunFailed(f"{task.name}: its process ended with code {code}; the same command continues")


def failure(name: str, work: Callable[[], None]) -> BadInput | RunFailed | None:
    """Do the `work` of a task in this process; what went wrong, as it is to be told and as it can travel."""
    try:
        work()
    except BadInput as error:
        return error
    except RunFailed as error:
        return RunFailed(f"{name}: {error}")
    except OSError as error:
        return RunFailed(f"{name}: {error}; make room or mend it, and the same command continues")
    except Exception as error:  # a fault of ours: the driver shows where
        return RunFailed(f"{name}: {type(error).__name__}: {error}\n{traceback.format_exc()}")
    return None


def _work(connection: Connection) -> None:
    _die_with_the_driver()
    with connection:
        try:
            task: Task = connection.recv()
        except GONE:
            return
        failed = failure(
            task.name, lambda: task.work(task.argument, lambda record: connection.send(("progress", record)))
        )
        if failed:
            connection.send(("failed", failed))


def _die_with_the_driver() -> None:
    """End this process as soon as the one that started it is gone, killed hard included."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
