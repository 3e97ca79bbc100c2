"""The pipeline on Kaggle's own machines: what to push there, and how it fares.

Two folders are pushed: a data set with wheels and settings, and a script kernel that installs and runs them.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from digit_recognizer.client import KaggleFailed, Limits, failed
from digit_recognizer.command import call
from digit_recognizer.competition import SLUG

KERNEL: Final = "tenfold-digit-recognizer"
WHEELS: Final = "tenfold-wheels"
METADATA: Final = "kernel-metadata.json"
DATASET_METADATA: Final = "dataset-metadata.json"
# On Kaggle's image already, and too large to carry.
THERE: Final = ("torch", "torchvision", "pandas", "scikit-learn", "scipy", "numpy", "pillow", "matplotlib")
PLATFORMS: Final = (*(f"manylinux_2_{minor}_x86_64" for minor in (28, 27, 17)), "manylinux2014_x86_64")


class BuildFailed(RuntimeError):
    """The folders could not be made; the message says why."""


def user(limit_s: float) -> str:
    """The account's name. Raises KaggleFailed where there are no credentials."""
    finished = call("config", "view", limit_s=limit_s)
    name = re.search(r"^- username: (\S+)$", finished.stdout, re.MULTILINE)
    if not name or name[1] == "None":
        raise failed(finished, "the account's name could not be had", limit_s)
    return name[1]


def build(out: Path, owner: str, settings: bytes | None, checkout: Path, needed: Sequence[str], python: str) -> None:
    """Make `out`/wheels and `out`/kernel anew, for the account `owner` and Kaggle's Python `python` ("3.12").

    `settings` is the settings.toml that overrides the kernel's preset, `checkout` where this project's source
    is, `needed` the requirements that are downloaded as wheels. Raises BuildFailed.
    """
    source = checkout / "kaggle" / "kernel"
    if not (source / METADATA).is_file() or not (checkout / "pyproject.toml").is_file():
        raise BuildFailed(f"{checkout}: is no checkout of tenfold, from which a kernel is built; clone the repository")
    wheels, kernel = out / "wheels", out / "kernel"
    for folder in (wheels, kernel):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    _pip("wheel", "--no-deps", "--wheel-dir", str(wheels), str(checkout))
    platforms = [part for platform in PLATFORMS for part in ("--platform", platform)]
    target = ["--only-binary", ":all:", "--implementation", "cp", "--python-version", python, *platforms]
    _pip("download", *target, "--dest", str(wheels), *needed)
    for wheel in wheels.glob("*.whl"):
        if wheel.name.partition("-")[0].lower().replace("_", "-") in THERE:
            wheel.unlink()
    if settings is not None:
        (wheels / "settings.toml").write_bytes(settings)
    _write(
        wheels / DATASET_METADATA,
        {"title": "tenfold wheels", "id": f"{owner}/{WHEELS}", "licenses": [{"name": "other"}]},
    )
    shutil.copyfile(source / "main.py", kernel / "main.py")
    metadata = json.loads((source / METADATA).read_text("utf-8"))
    changes = {"id": f"{owner}/{KERNEL}", "competition_sources": [SLUG], "dataset_sources": [f"{owner}/{WHEELS}"]}
    _write(kernel / METADATA, metadata | changes)


def push(out: Path, limits: Limits, tell: Callable[[str], None]) -> str:
    """Push what `build` made: the data set, then, once Kaggle has it ready, the kernel. Gives the kernel's address.

    Raises BuildFailed where nothing was built, or KaggleFailed.
    """
    wheels, kernel = out / "wheels", out / "kernel"
    try:
        owner = json.loads((kernel / METADATA).read_text("utf-8"))["id"].partition("/")[0]
    except (OSError, ValueError, KeyError) as error:
        raise BuildFailed(f"{out}: holds no kernel to push; `tenfold kernel build` makes it") from error
    name = f"{owner}/{WHEELS}"
    there = call("datasets", "status", name, limit_s=limits.call_s).code == 0
    if there:
        arguments = ["datasets", "version", "-p", str(wheels), "-m", "tenfold"]
    else:
        arguments = ["datasets", "create", "-p", str(wheels)]
    finished = call(*arguments, limit_s=limits.upload_s)
    # The command makes a data set of whatever arrived, so every file is counted.
    arrived = finished.stdout.count("Upload successful: ")
    wanted = sum(1 for path in wheels.iterdir() if path.name != DATASET_METADATA)
    if finished.code != 0 or "is being created" not in finished.stdout or arrived != wanted:
        raise failed(finished, f"the data set {name} was not pushed", limits.upload_s)
    tell(f"pushed the data set {name}; waiting until Kaggle has it ready")
    end = time.monotonic() + limits.score_s
    while (state := call("datasets", "status", name, limit_s=limits.call_s).stdout.strip().lower()) != "ready":
        if time.monotonic() + limits.poll_s > end:
            raise KaggleFailed("other", f"the data set {name} is not ready ({state or 'no answer'}); push again later")
        time.sleep(limits.poll_s)
    finished = call("kernels", "push", "-p", str(kernel), limit_s=limits.upload_s)
    pushed = re.search(r"successfully pushed.*?(https?://\S+)", finished.stdout, re.DOTALL)
    if finished.code != 0 or not pushed:
        raise failed(finished, "the kernel was not pushed", limits.upload_s)
    return pushed[1]


def status(owner: str, limit_s: float) -> str:
    """How the kernel fares, in Kaggle's word: QUEUED, RUNNING, COMPLETE or ERROR. Raises KaggleFailed."""
    finished = call("kernels", "status", f"{owner}/{KERNEL}", limit_s=limit_s)
    found = re.search(r'has status "(?:KernelWorkerStatus\.)?(\w+)"', finished.stdout)
    if finished.code != 0 or not found:
        raise failed(finished, "the kernel's status could not be had", limit_s)
    return found[1].upper()


def output(owner: str, folder: Path, limit_s: float) -> list[Path]:
    """Fetch what the kernel left into `folder`. Raises KaggleFailed."""
    folder.mkdir(parents=True, exist_ok=True)
    page: list[str] = []
    while True:
        arguments = ["kernels", "output", f"{owner}/{KERNEL}", "-p", str(folder), "--force", *page]
        finished = call(*arguments, limit_s=limit_s)
        if finished.code != 0:
            raise failed(finished, "the kernel's output could not be had", limit_s)
        following = re.search(r"^Next page token: (\S+)$", finished.stdout, re.IGNORECASE | re.MULTILINE)
        if not following:
            return sorted(path for path in folder.rglob("*") if path.is_file())
        page = ["--page-token", following[1]]


def _pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments, "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise BuildFailed(f"pip {arguments[0]} failed: {last}")


def _write(path: Path, table: dict[str, Any]) -> None:
    path.write_text(json.dumps(table, indent=2) + "\n", "utf-8")
