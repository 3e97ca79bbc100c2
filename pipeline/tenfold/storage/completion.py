"""done.json: declares a folder finished, with the hash of each of its files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from tenfold.storage import atomic
from tenfold.storage.run_folder import plain_json

DONE: Final = "done.json"


def finish(folder: Path, files: Sequence[str], result: Mapping[str, Any]) -> None:
    """Declare a folder finished, with the hash of each of `files` and a result of plain values."""
    hashes = {name: _sha256(folder / name) for name in files}
    atomic.write(folder / DONE, plain_json({"files": hashes, **result}))


def finished(folder: Path) -> dict[str, Any] | None:
    """What `finish` declared, if every file is still there and unchanged; else None."""
    try:
        done: dict[str, Any] = json.loads((folder / DONE).read_text("utf-8"))
        intact = all(_sha256(folder / name) == digest for name, digest in done["files"].items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):  # missing, or not as `finish` writes it
        return None
    return done if intact else None


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
