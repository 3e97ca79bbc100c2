"""Which files below a run's folder are the run's. Nothing else there is ever removed."""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import Any, Final

from tenfold.storage import atomic
from tenfold.storage.completion import DONE
from tenfold.storage.epoch_log import EPOCHS
from tenfold.storage.run_folder import (
    CLASSIFIER,
    DATA,
    DIVERGED,
    DOUBT,
    ENVIRONMENT,
    GENERATOR,
    GENERATOR_SCORES,
    GRIDS,
    METRICS,
    OOF,
    PICTURES,
    RATE_CUTS,
    REPORT,
    SETTINGS,
    SUBMISSION,
    TENSORBOARD,
    TEST_PROBABILITIES,
    VALIDATION,
    plain_json,
)
from tenfold_onnx.contract import CANVAS_ONNX, CLASSIFIER_ONNX, EXPLAIN_ONNX, GENERATOR_ONNX, LIGHT_ONNX

MARKER: Final = "tenfold.json"  # says that a folder is a run's
LOCK: Final = ".tenfold.lock"
MARK: Final = {"program": "tenfold", "kind": "run", "format": 1}

# The ledger of submissions is not among them: it also says what was sent before a fresh start.
_TOP: Final = (
    *(MARKER, SETTINGS, ENVIRONMENT, DATA, EPOCHS, METRICS, OOF, TEST_PROBABILITIES, PICTURES),
    *(SUBMISSION, REPORT, DONE, GENERATOR_SCORES),
    *(CLASSIFIER_ONNX, LIGHT_ONNX, CANVAS_ONNX, EXPLAIN_ONNX, GENERATOR_ONNX),
)
_TRAINING: Final = (
    *(CLASSIFIER, DOUBT, GENERATOR, VALIDATION, DIVERGED, RATE_CUTS, DONE),
    *("classifier.checkpoint.safetensors", "cgan.checkpoint.safetensors"),
    *("progress.gif", "networks.md", "networks.svg", "losses.svg", "scores.svg", "variety.svg"),
)


def _any_of(names: tuple[str, ...]) -> str:
    return f"(?:{'|'.join(map(re.escape, names))})"


_OF_TRAINING: Final = r"(?:fold-\d+-net-\d+|(?:fold-\d+-|reserve-)?generator|light|cas-\d+)"
_FILES: Final = re.compile(
    rf"{_any_of(_TOP)}"
    rf"|{_OF_TRAINING}/(?:{_any_of(_TRAINING)}|{GRIDS}/epoch-\d+\.png)"
    rf"|{TENSORBOARD}/(?:.+/)?events\.out\.tfevents\.[^/]+"
)
_FOLDERS: Final = re.compile(rf"{_OF_TRAINING}(?:/{GRIDS})?|{TENSORBOARD}(?:/.+)?")


def is_marked(folder: Path) -> bool:
    """Whether a folder says that it is a run's."""
    try:
        mark: Any = json.loads((folder / MARKER).read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return bool(mark == MARK)


def mark(folder: Path) -> None:
    """Say that a folder is a run's."""
    atomic.write(folder / MARKER, plain_json(MARK))


def strangers(folder: Path) -> list[str]:
    """The names in a folder that a run which was killed while it marked the folder would not have left there."""
    return [
        entry.name
        for entry in sorted(folder.iterdir())
        if entry.name != LOCK and atomic.intended_name(entry.name) != MARKER
    ]


def remove_leftovers(folder: Path) -> None:
    """Remove what killed writes of a run left. Only while nobody writes there."""
    for path in _files(folder):
        name = atomic.intended_name(path.name)
        if name and _is_ours(path.with_name(name).relative_to(folder)):
            path.unlink(missing_ok=True)


def remove_run(folder: Path) -> list[str]:
    """Remove every file of a run but its marker and lock, and folders that this empties.

    Returns the names of what else is in the folder, which stays. Only while nobody writes there.
    """
    remove_leftovers(folder)
    for path in _files(folder):
        relative = path.relative_to(folder)
        if path != folder / MARKER and (_is_ours(relative) or _is_our_folder(relative)):
            path.unlink(missing_ok=True)
    for parent, names, _ in os.walk(folder, topdown=False):
        for path in map(Path(parent).joinpath, names):
            if _is_our_folder(path.relative_to(folder)):
                with contextlib.suppress(OSError):  # not empty
                    path.rmdir()
    return sorted(entry.name for entry in folder.iterdir() if entry.name not in (LOCK, MARKER))


def _files(folder: Path) -> Iterator[Path]:
    """Every file and link below a folder, without looking through links."""
    for parent, folders, names in os.walk(folder):
        yield from map(Path(parent).joinpath, names)
        yield from (path for path in map(Path(parent).joinpath, folders) if path.is_symlink())


def _is_ours(path: PurePath) -> bool:
    return _FILES.fullmatch(path.as_posix()) is not None


def _is_our_folder(path: PurePath) -> bool:
    return _FOLDERS.fullmatch(path.as_posix()) is not None
