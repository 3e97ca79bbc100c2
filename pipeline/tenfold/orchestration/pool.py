"""Where tasks run: several side by side, in processes that each do one task after the other.

A task writes its results into the run's folder, so only progress comes back. Each process imports PyTorch once, which
takes seconds, and a killed one names its task. The processes are not those of `multiprocessing`, which import the
caller's main module again: a script without a `__main__` guard would start itself over. Ours need nothing of it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from multiprocessing.connection import Connection, Pipe, wait
from queue import SimpleQueue
from typing import Any, Final

from tenfold.errors import BadInput, RunFailed, Unexpected, memory_ran_out

STOP_SIGNALS: Final = frozenset({signal.SIGINT, signal.SIGTERM})
PEER_GONE: Final = (EOFError, BrokenPipeError, ConnectionResetError)  # raised when the other process has ended

Report = Callable[[Any], None]


@dataclass(frozen=True)
class Task:
    """A function of a module, called as `work(argument, report)` in one of the processes."""

    name: str
    work: Callable[[Any, Report], None]
    argument: Any


def run_all(tasks: Iterable[Task], workers: int, report: Report) -> None:
    """Run the tasks, at most `workers` at a time; each is taken from `tasks` only when its turn comes.

    Where no process can be started at all, this one does the work, with equal results. The first failure stops the
    others. Raises RunFailed, or the BadInput that a task raised.
    """
    waiting = iter(tasks)
    processes: dict[Connection, subprocess.Popen[bytes]] = {}
    running: dict[Connection, Task] = {}
    try:
        while True:
            for task in islice(waiting, workers - len(running)):
                connection = next(iter(processes.keys() - running.keys()), None)
                try:
                    if connection is None:
                        with _stops_deferred():
                            connection, process = _start()
                            processes[connection] = process
                except OSError as error:
                    reason = f"no process can be started ({error.strerror or error})"
                    if running:
                        fix = "the same command continues (use fewer workers)"
                        raise RunFailed(f"{task.name}: {reason}; {fix}") from error
                    print(f"{reason}: this one does all the work, one training after the other")
                    return run_in_turn(chain([task], waiting), report)
                running[connection] = task
                with suppress(*PEER_GONE):  # noticed below
                    connection.send(task)
            for connection in processes.keys() - running.keys():  # nothing is left for them to do
                _end(connection, processes.pop(connection))
            if not running:
                return
            for ready in wait(list(running)):
                assert isinstance(ready, Connection)
                try:
                    kind, message = ready.recv()
                except PEER_GONE:
                    raise _has_ended(running[ready], processes[ready]) from None
                if kind == "failed":
                    raise message
                if kind == "progress":
                    report(message)
                else:
                    del running[ready]
    finally:
        for connection, process in processes.items():
            _end(connection, process)


def run_in_turn(tasks: Iterable[Task], report: Report) -> None:
    """Run the tasks one after the other in this process. Raises as `run_all` does."""
    for task in tasks:
        if error := failure(task.name, partial(task.work, task.argument, report)):
            raise error


def failure(name: str, work: Callable[[], None]) -> BadInput | RunFailed | None:
    """Do the `work` of a task in this process; return what went wrong as an exception that can be pickled."""
    try:
        work()
    except BadInput as error:
        return error
    except RunFailed as error:
        return RunFailed(f"{name}: {error}")
    except Exception as error:
        if memory_ran_out(error):
            return RunFailed(f"{name}: memory ran out; the same command continues (fewer --workers need less)")
        if isinstance(error, OSError):
            return RunFailed(f"{name}: {error}; make room or fix the cause, and the same command continues")
        return Unexpected(f"{name}: {type(error).__name__}: {error}", traceback.format_exc())
    return None


def _start() -> tuple[Connection, subprocess.Popen[bytes]]:
    """A process that waits for its task at the other end of the connection. Raises OSError where none can start."""
    ours, theirs = Pipe()
    path = [entry for entry in sys.path if isinstance(entry, str)]  # notebooks add to theirs
    program = f"import sys; sys.path[:] = {path!r}; from {__name__} import serve; serve({theirs.fileno()})"
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)  # inherited: only the driver reacts to a stop
    try:
        # No stdin: a script that Python reads from there goes on after this.
        process = subprocess.Popen(
            [sys.executable or "", "-c", program], stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()]
        )
    except OSError:
        ours.close()
        raise
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


def _end(connection: Connection, process: subprocess.Popen[bytes]) -> None:
    process.kill()  # loses nothing: results appear whole or not at all
    process.wait()
    connection.close()


def _has_ended(task: Task, process: subprocess.Popen[bytes]) -> RunFailed:
    """What went wrong where a process has ended before its task."""
    code = process.wait()
    if code == -signal.SIGKILL:
        return RunFailed(
            f"{task.name}: its process was killed, most likely because memory ran out; "
            "the same command continues from the last epoch (fewer --workers need less)"
        )
    return RunFailed(f"{task.name}: its process ended with code {code}; the same command continues")


def serve(file_descriptor: int) -> None:
    """Do the tasks that arrive at this end of a connection: all that a process of `run_all` does."""
    connection = Connection(file_descriptor)
    arrived = SimpleQueue[Task]()
    threading.Thread(target=_receive, args=(connection, arrived), daemon=True).start()
    while True:
        task = arrived.get()
        error = failure(task.name, partial(task.work, task.argument, lambda data: connection.send(("progress", data))))
        del task  # its digits, while this waits
        connection.send(("failed", error) if error else ("finished", None))


def _receive(connection: Connection, arrived: SimpleQueue[Task]) -> None:
    """Put what arrives into the queue. End this process as soon as the one that started it has ended, even by SIGKILL.

    The connection stays open until this process ends, as long as it is read.
    """
    try:
        while True:
            arrived.put(connection.recv())
    except PEER_GONE:
        pass
    except Exception:  # a task that only the other process can import
        traceback.print_exc()
    finally:
        os._exit(1)
