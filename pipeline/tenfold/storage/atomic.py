"""Files appear whole or not at all. What is no regular file, such as a device or a pipe, is written to as it is."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Final

STREAMS: Final = (Path("/dev"), Path("/dev/fd"), Path("/proc/self/fd"))  # folders of /dev/null, /dev/stdout and so on
PART: Final = ".part"  # suffix of files that are not complete yet


def write(path: Path, data: bytes) -> None:
    """Write `data` to `path`, creating its folder: to the disk first, then under its name in one step.

    A link stays, and what it points to is written. Raises OSError; then a file at `path` is as it was before, and
    nothing half-written is left behind.
    """
    try:
        if path.parent in STREAMS or (path.exists() and not path.is_file() and not path.is_dir()):
            with path.open("ab") as file:  # /dev/stdout may be a file that has content
                file.write(data)
            return
        target = Path(os.path.realpath(path))
        if target.is_symlink():  # it points to itself
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
        _replace(target, data)
    except OSError as error:
        error.filename = str(path)  # instead of the temporary name
        raise


def _replace(path: Path, data: bytes) -> None:
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


def intended_name(name: str) -> str | None:
    """The name that a file was to get whose writing was cut off, from the name it has; None for any other name."""
    match = re.fullmatch(rf"\.(.+)\.[a-z0-9_]{{8}}{re.escape(PART)}", name)
    return match[1] if match else None


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
