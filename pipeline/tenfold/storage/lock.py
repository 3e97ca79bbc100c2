"""A run's folder is held by one process and belongs to one set of settings."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import tomli_w
from filelock import FileLock, Timeout

from tenfold.errors import BadInput
from tenfold.settings import Settings, differences, to_table
from tenfold.storage import atomic
from tenfold.storage.environment import environment
from tenfold.storage.run_folder import ENVIRONMENT, SETTINGS, RunFolder

LOCK: Final = ".lock"


@contextmanager
def hold(path: Path, settings: Settings, fresh: bool) -> Iterator[RunFolder]:
    """Hold the folder of a run with these settings: a new one, or one to continue.

    `fresh` empties a run's folder first. Raises BadInput where another process holds the folder, where it belongs to
    other settings, or where it holds something else than a run.
    """
    run = RunFolder(path)
    if path.exists() and not path.is_dir():
        raise BadInput(f"{path}: must be a folder, is a file; give another --out")
    if path.is_dir() and any(path.iterdir()) and not (path / SETTINGS).exists() and not (path / LOCK).exists():
        raise BadInput(f"{path}: holds files that are not a run's; give another --out")
    try:
        path.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path / LOCK, timeout=0)
        lock.acquire()
    except Timeout as error:
        raise BadInput(f"{path}: another tenfold is running in it; wait for it, or give another --out") from error
    except OSError as error:
        raise BadInput(f"{path}: can't be written ({error.strerror}); give another --out") from error
    try:
        if fresh:
            _empty(path)
        atomic.clear(path)
        if (path / SETTINGS).exists():
            changed = differences(to_table(settings), to_table(run.settings()))
            if changed:
                raise BadInput(
                    f"{path}: its run has other settings ({'; '.join(changed)}); "
                    "use the same, give another --out, or start over with --fresh"
                )
        else:
            atomic.write(path / SETTINGS, tomli_w.dumps(to_table(settings)).encode())
        run.write_json(ENVIRONMENT, environment())
        yield run
    finally:
        lock.release()


def _empty(path: Path) -> None:
    for entry in path.iterdir():
        if entry.name == LOCK:
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
