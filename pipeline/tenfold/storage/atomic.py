"""Files appear whole or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Final

PART: Final = ".part"  # suffix of files that are not complete yet


def write(path: Path, data: bytes) -> None:
    """Write `data` to `path`, creating its folder: to the disk first, then under its name in one step.

    Raises OSError; then `path` is as it was before, and nothing half-written is left behind.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=PART, dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            Path(name).chmod(0o666 & ~_umask())
            Path(name).replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                Path(name).unlink()
            raise
    except OSError as error:
        error.filename = str(path)  # instead of the temporary name
        raise


def write_folder(path: Path, files: Iterable[tuple[str, bytes]]) -> None:
    """Create the folder `path` with `files`, by their paths in it, in one step. It must be missing or empty.

    Raises OSError; then nothing is left behind.
    """
    path = path.resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{path.name}.", suffix=PART, dir=path.parent) as name:
        complete = Path(name) / path.name
        complete.mkdir()
        for relative, data in files:
            file = complete / relative
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)
        complete.replace(path)


def clear(folder: Path) -> None:
    """Remove what killed writes left below `folder`. Only while nobody writes there."""
    for leftover in folder.rglob(f".*{PART}"):
        leftover.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
