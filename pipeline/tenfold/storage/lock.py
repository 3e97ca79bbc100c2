"""A run's folder is held by one process and belongs to one set of settings."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from tenfold.errors import BadInput
from tenfold.settings import Settings, differences, to_table
from tenfold.storage import atomic, run_contents
from tenfold.storage.completion import finished
from tenfold.storage.environment import environment
from tenfold.storage.run_folder import ENVIRONMENT, SETTINGS, RunFolder, settings_toml
from tenfold.terminal import note


@contextmanager
def hold(path: Path, settings: Settings, fresh: bool) -> Iterator[RunFolder]:
    """Hold the folder of a run with these settings: a new one, or one to continue.

    `fresh` removes an earlier run's files first. Raises BadInput where another process holds the folder, where it
    belongs to other settings, or where it holds something else than a run; then nothing in it was touched.
    """
    _require_ours(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(path, error) from error
    with locked(path):
        run = RunFolder(path)
        if not run_contents.is_marked(path):
            _require_ours(path)  # another process may have written there meanwhile
            run_contents.mark(path)
        if fresh:
            others = run_contents.remove_run(path)
            if others:
                note(f"{path}: left as they are: {', '.join(others)}")
        if (path / SETTINGS).exists():
            changed = differences(to_table(settings), to_table(run.settings()))
            if changed:
                raise BadInput(
                    f"{path}: its run has other settings ({'; '.join(changed)}); "
                    "use the same, give another --out, or start over with --fresh"
                )
        else:
            atomic.write(path / SETTINGS, settings_toml(settings))
        run_contents.remove_leftovers(path)
        if finished(path) is None:
            run.write_json(ENVIRONMENT, environment())
        yield run


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep other processes from writing in the folder of a run. Raises BadInput where one does."""
    try:
        lock = FileLock(path / run_contents.LOCK, timeout=0)
        lock.acquire()
    except Timeout as error:
        raise BadInput(f"{path}: another tenfold is running in it; wait for it, or give another --out") from error
    except OSError as error:
        raise _unwritable(path, error) from error
    try:
        yield
    finally:
        lock.release()


def _require_ours(path: Path) -> None:
    """Raise BadInput unless a run may write at `path`: nothing is there, an empty folder, or a run's."""
    if path.exists() and not path.is_dir():
        raise BadInput(f"{path}: must be a folder, is a file; give another --out")
    if not path.is_dir() or run_contents.is_marked(path):
        return
    others = run_contents.strangers(path)
    if others:
        raise BadInput(
            f"{path}: holds files that are not a run's of this version ({others[0]}; no {run_contents.MARKER} says "
            "that it is one); give another --out"
        )


def _unwritable(path: Path, error: OSError) -> BadInput:
    return BadInput(f"{path}: can't be written ({error.strerror}); give another --out")
