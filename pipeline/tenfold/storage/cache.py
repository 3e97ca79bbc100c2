"""Where what can be had again is kept: MNIST unpacked, the list of fonts."""

from __future__ import annotations

import os
import tempfile
from functools import cache
from pathlib import Path

from tenfold.errors import BadInput


def folder() -> Path:
    """The user's cache folder for this program, there or not. Raises BadInput where the user has none."""
    base = os.environ.get("XDG_CACHE_HOME")
    try:
        return (Path(base) if base else Path.home() / ".cache") / "tenfold"
    except RuntimeError as error:  # neither HOME nor an entry among the system's users
        raise BadInput("there is no home folder to keep things in; set XDG_CACHE_HOME to a folder of yours") from error


def fonts() -> str:
    """Where matplotlib keeps its list of fonts; a folder that goes with this process where the user has no other."""
    try:
        return str(folder() / "matplotlib")
    except BadInput:
        return _passing().name


@cache
def _passing() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="tenfold-", ignore_cleanup_errors=True)
