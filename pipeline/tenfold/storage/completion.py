"""done.json: declares a folder finished, with the hash of each of its files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from tenfold.errors import BadInput
from tenfold.storage import atomic
from tenfold.storage.run_folder import PATHS, plain_json

DONE: Final = "done.json"
OWN_HASH: Final = "sha256"  # of all else in it
FIX: Final = "repeat the `tenfold run` or `tenfold blend` that wrote it"


def finish(folder: Path, files: Sequence[str], result: Mapping[str, Any]) -> None:
    """Declare a folder finished, with the hash of each of `files` and a result of plain values."""
    done = {"files": {name: _sha256(folder / name) for name in files}, **result}
    atomic.write(folder / DONE, plain_json({**done, OWN_HASH: _hash_of(done)}))


def finished(folder: Path) -> dict[str, Any] | None:
    """What `finish` declared, if every file is still there and unchanged; else None."""
    try:
        return require_finished(folder)
    except BadInput:
        return None


def require_finished(folder: Path, fix: str = FIX, unused: Collection[str] = ()) -> dict[str, Any]:
    """What `finish` declared, with every file there and unchanged, apart from those that the caller leaves `unused`.

    Every command that uses the files of a finished run, blend or training calls this first. Raises BadInput, with how
    to `fix` it, where the folder is not finished, or a file was changed or removed since.
    """
    path = folder / DONE
    try:
        done: dict[str, Any] = json.loads(path.read_text("utf-8", PATHS))
        if done.pop(OWN_HASH) != _hash_of(done):
            raise ValueError("its own hash differs")
        used = {name: digest for name, digest in done["files"].items() if name not in unused}
        changed = next((name for name, digest in used.items() if _sha256(folder / name) != digest), None)
    except FileNotFoundError as error:
        missing = Path(str(error.filename))
        what = f"{folder}: no {DONE} in it, so not finished" if missing == path else f"{missing}: is missing"
        raise BadInput(f"{what}; {fix}") from error
    except NotADirectoryError as error:
        raise BadInput(f"{folder}: must be a folder, is a file; {fix}") from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BadInput(f"{path}: is damaged, or another version of tenfold wrote it; {fix}") from error
    if changed is not None:
        raise BadInput(f"{folder / changed}: was changed or damaged after it was written; {fix}")
    return done


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _hash_of(done: Mapping[str, Any]) -> str:
    return hashlib.sha256(plain_json(done)).hexdigest()
