"""Files appear whole or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Final

PART: Final = ".part"  # ends the name of what is not whole yet


def write(path: Path, data: bytes) -> None:
    """Put `data` at `path`, making its folder: on the disk first, then under its name in one step.

    Raises OSError, and then neither `path` nor anything half-written is left behind.
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
        error.filename = str(path)  # which the caller knows, unlike the temporary name
        raise


def write_folder(path: Path, files: Iterable[tuple[str, bytes]]) -> None:
    """Put a folder of `files`, by their paths in it, at `path` in one step, where nothing or an empty folder is.

    Raises OSError, and then nothing is left behind.
    """
    path = path.resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{path.name}.", suffix=PART, dir=path.parent) as name:
        whole = Path(name) / path.name
        whole.mkdir()
        for relative, data in files:
            file = whole / relative
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)
        whole.replace(path)


def clear(folder: Path) -> None:
    """Remove what writes that were killed left below `folder`. Only while nobody writes there."""
    for left in folder.rglob(f".*{PART}"):
        left.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
