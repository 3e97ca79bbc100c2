"""What makes a run's folder the only state there is: held by one process, whole, and saying what it belongs to."""

from __future__ import annotations

import hashlib
import io
import json
import os
import platform
import shutil
import subprocess
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import tomli_w
from filelock import FileLock, Timeout

from tenfold import atomic
from tenfold.errors import BadInput
from tenfold.folder import ENVIRONMENT, SETTINGS, RunFolder, plain_json
from tenfold.settings import Settings, differences, to_table

DONE: Final = "done.json"
LOCK: Final = ".lock"
WIDEST: Final = {"amx_bf16": "AMX", "avx512_bf16": "AVX-512 and bf16", "avx512f": "AVX-512", "avx2": "AVX2"}
RECORDED: Final = (
    "tenfold",
    "torch",
    "torchvision",
    "numpy",
    "pandas",
    "scikit-learn",
    "onnx",
    "onnxruntime",
)


@contextmanager
def opened(path: Path, settings: Settings, fresh: bool) -> Iterator[RunFolder]:
    """Hold the folder of a run with these settings: a new one, or one to continue.

    `fresh` empties a run's folder first. Raises BadInput where another process holds it, where it has other
    settings, or where it holds something that is no run.
    """
    run = RunFolder(path)
    if path.exists() and not path.is_dir():
        raise BadInput(f"{path}: is a file where the run's folder belongs; give another --out")
    if path.is_dir() and any(path.iterdir()) and not (path / SETTINGS).exists() and not (path / LOCK).exists():
        raise BadInput(f"{path}: holds files that are no run's; give another --out")
    try:
        path.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path / LOCK, timeout=0)
        lock.acquire()
    except Timeout as error:
        raise BadInput(f"{path}: another tenfold is running in it; wait for it, or give another --out") from error
    except OSError as error:
        raise BadInput(f"{path}: can't be written ({error.strerror}); give another --out") from error
    try:
        if fresh:
            _empty(path)
        atomic.clear(path)
        if (path / SETTINGS).exists():
            found = differences(to_table(run.settings()), to_table(settings))
            if found:
                raise BadInput(
                    f"{path}: was run with other settings ({'; '.join(found)}); "
                    "ask for the same, give another --out, or start it afresh with --fresh"
                )
        else:
            atomic.write(path / SETTINGS, tomli_w.dumps(to_table(settings)).encode())
        run.write_json(ENVIRONMENT, environment())
        yield run
    finally:
        lock.release()


def environment() -> dict[str, Any]:
    """What the run ran on."""
    return {
        "python": platform.python_version(),
        "system": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "git_commit": _git_commit(),
        "packages": {name: _version(name) for name in RECORDED},
    }


def machine() -> str:
    """The processor and its cores, in words."""
    return f"{_processor()}, {os.cpu_count()} cores"


def finish(folder: Path, files: Sequence[str], result: Mapping[str, Any]) -> None:
    """Declare a task's folder finished, with the hash of each of `files` and a result of plain values."""
    hashes = {name: _sha256(folder / name) for name in files}
    atomic.write(folder / DONE, plain_json({"files": hashes, **result}))


def finished(folder: Path) -> dict[str, Any] | None:
    """What `finish` declared, if every file is still there and unchanged; else None."""
    try:
        done: dict[str, Any] = json.loads((folder / DONE).read_text("utf-8"))
        whole = all(_sha256(folder / name) == digest for name, digest in done["files"].items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):  # gone, or not as `finish` writes it
        return None
    return done if whole else None


def npz(**arrays: npt.NDArray[Any]) -> bytes:
    """Arrays as the bytes of an .npz file; the same arrays give the same bytes."""
    out = io.BytesIO()
    np.savez(out, **arrays)  # type: ignore[arg-type]
    return out.getvalue()


def read_npz(path: Path, names: Sequence[str], mend: str) -> dict[str, npt.NDArray[Any]]:
    """Arrays of an .npz file by name. Raises BadInput with `mend` where one is missing or damaged."""
    try:
        with np.load(path) as stored:
            return {name: stored[name] for name in names}
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise BadInput(f"{path}: can't be read ({error}); {mend}") from error


def _empty(path: Path) -> None:
    for entry in path.iterdir():
        if entry.name == LOCK:
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    try:
        return processor_named(Path("/proc/cpuinfo").read_text())
    except OSError:
        return platform.processor()


def processor_named(cpuinfo: str) -> str:
    """A processor's name and its widest arithmetic, from Linux's description: one name may stand for many speeds."""
    entries = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in cpuinfo.splitlines())}
    name, flags = entries.get("model name", platform.processor()), entries.get("flags", "").split()
    widest = next((words for flag, words in WIDEST.items() if flag in flags), None)
    return f"{name} with {widest}" if widest else name


def _git_commit() -> str | None:
    """Of the checkout this code lies in; None for an installed wheel."""
    try:
        done = subprocess.run(
            ["git", "rev-parse", "HEAD"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            timeout=10,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None
