"""A temporary folder beside the destination, in which a download or an unpacked file stays until it is complete."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

LOCK: Final = ".lock"  # held while the folder is in use, which tells it from one that a killed process left


@contextmanager
def staging_folder(folder: Path, prefix: str) -> Iterator[Path]:
    """A new folder in `folder`, removed at the end. Folders that killed processes left there are removed first."""
    from filelock import FileLock, Timeout  # an extra, which running the models does not need

    for leftover in folder.glob(f"{prefix}*"):
        with contextlib.suppress(Timeout, OSError), FileLock(leftover / LOCK, timeout=0):
            shutil.rmtree(leftover, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=prefix, dir=folder) as name, FileLock(Path(name) / LOCK):
        yield Path(name)
