"""The cache folder: unpacked MNIST, the list of fonts."""

from __future__ import annotations

import os
import tempfile
from functools import cache
from pathlib import Path

from tenfold.errors import BadInput


def folder() -> Path:
    """This program's cache folder, existing or not. Raises BadInput where the user has no home folder."""
    base = os.environ.get("XDG_CACHE_HOME")
    try:
        return (Path(base) if base else Path.home() / ".cache") / "tenfold"
    except RuntimeError as error:  # neither HOME nor an entry among the system's users
        raise BadInput("cache: there is no home folder; set XDG_CACHE_HOME to a folder of yours") from error


def fonts() -> str:
    """Where matplotlib keeps its list of fonts; a temporary folder if the user has no home folder."""
    try:
        return str(folder() / "matplotlib")
    except BadInput:
        return _temporary().name


@cache
def _temporary() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="tenfold-", ignore_cleanup_errors=True)
