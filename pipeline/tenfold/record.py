"""A run's folder: the only state there is. What is in it is whole, and says what it belongs to.

runs/<name>/
    settings.toml, environment.json, data.json    what was asked for, on what, with which digits
    metrics.jsonl                                 a line an epoch, from every fold and stage
    fold-0-net-0/, ..., light/                    one folder a classifier: weights, answers, done.json
    fold-0-generator/, ..., generator/            one folder a generator: weights, grids, done.json
    oof.npz, test_probabilities.npz, submission.csv, three models as *.onnx, metrics.json, done.json
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import platform
import shutil
import subprocess
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import tomli_w
from filelock import FileLock, Timeout

from tenfold import atomic
from tenfold.errors import BadInput
from tenfold.settings import Settings, differences, from_table, to_table

SETTINGS: Final = "settings.toml"
ENVIRONMENT: Final = "environment.json"
DATA: Final = "data.json"
EPOCHS: Final = "metrics.jsonl"
METRICS: Final = "metrics.json"
DONE: Final = "done.json"
LOCK: Final = ".lock"
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


@dataclass(frozen=True)
class RunFolder:
    """Where a run writes. Paths only; whoever holds one may write what its task is to write."""

    path: Path

    def net(self, fold: int, net: int) -> Path:
        """The folder of one of a fold's nets."""
        return self.path / f"fold-{fold}-net-{net}"

    def fold_generator(self, fold: int) -> Path:
        """The folder of a fold's generator."""
        return self.path / f"fold-{fold}-generator"

    @property
    def light(self) -> Path:
        """The folder of the light net, which is fitted on all training digits."""
        return self.path / "light"

    @property
    def generator(self) -> Path:
        """The folder of the generator that ships, which is fitted on all training digits."""
        return self.path / "generator"

    def write_json(self, name: str, value: Any) -> None:
        """Put `value` at `name`."""
        atomic.write(self.path / name, _json(value))

    def read_json(self, name: str) -> Any:
        """What `write_json` put there. Raises BadInput where it is missing or damaged."""
        try:
            return json.loads((self.path / name).read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise BadInput(f"{self.path / name}: can't be read ({error}); run `tenfold run` again") from error

    def settings(self) -> Settings:
        """What the run was asked to do. Raises BadInput where this is no run's folder."""
        path = self.path / SETTINGS
        try:
            return from_table(tomllib.loads(path.read_text("utf-8")))
        except FileNotFoundError as error:
            raise BadInput(
                f"{self.path}: is no run's folder (no {SETTINGS} in it); give the folder of a run"
            ) from error
        except (OSError, ValueError) as error:
            raise BadInput(f"{path}: can't be read as settings ({error}); start it afresh with --fresh") from error

    def append_epoch(self, record: Mapping[str, Any]) -> None:
        """Add a line to the epochs' log; one write, so that lines of several processes don't mix."""
        line = json.dumps(record) + "\n"
        handle = os.open(self.path / EPOCHS, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        try:
            os.write(handle, line.encode())
        finally:
            os.close(handle)

    def epochs(self) -> list[dict[str, Any]]:
        """The whole lines of the epochs' log."""
        try:
            lines = (self.path / EPOCHS).read_text("utf-8", errors="replace").splitlines()
        except FileNotFoundError:
            return []
        records = []
        for line in lines:
            try:
                records.append(json.loads(line))
            except ValueError:
                continue  # a line that a kill cut short
        return records

    def forget_epochs_after(self, task: str, stage: str, epoch: int) -> None:
        """Cut the log of one stage back to what its checkpoint covers. Only while no task is running."""
        kept = [
            record
            for record in self.epochs()
            if (record["task"], record["stage"]) != (task, stage) or record["epoch"] <= epoch
        ]
        atomic.write(self.path / EPOCHS, "".join(json.dumps(record) + "\n" for record in kept).encode())


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


def finish(folder: Path, files: Sequence[str], result: Mapping[str, Any]) -> None:
    """Declare a task's folder finished, with the hash of each of `files` and a result of plain values."""
    hashes = {name: _sha256(folder / name) for name in files}
    atomic.write(folder / DONE, _json({"files": hashes, **result}))


def finished(folder: Path) -> dict[str, Any] | None:
    """What `finish` declared, if every file is still there and unchanged; else None."""
    try:
        done: dict[str, Any] = json.loads((folder / DONE).read_text("utf-8"))
        whole = all(_sha256(folder / name) == digest for name, digest in done["files"].items())
    except (OSError, ValueError, KeyError):
        return None
    return done if whole else None


def npz(**arrays: npt.NDArray[Any]) -> bytes:
    """Arrays as the bytes of an .npz file; the same arrays give the same bytes."""
    out = io.BytesIO()
    np.savez(out, **arrays)  # type: ignore[arg-type]
    return out.getvalue()


def _empty(path: Path) -> None:
    for entry in path.iterdir():
        if entry.name == LOCK:
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()


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
