"""A folder beside the goal, in which what is fetched or unpacked lies until it is whole."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

LOCK: Final = ".lock"  # held while the folder is in use, so that one whose process was killed can be told


@contextmanager
def staging_folder(folder: Path, prefix: str) -> Iterator[Path]:
    """A new folder in `folder`, removed at the end; those that killed processes left there are removed first."""
    from filelock import FileLock, Timeout  # of the extras: whoever only runs models has none

    for left in folder.glob(f"{prefix}*"):
        with contextlib.suppress(Timeout, OSError), FileLock(left / LOCK, timeout=0):
            shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=prefix, dir=folder) as name, FileLock(Path(name) / LOCK):
        yield Path(name)
