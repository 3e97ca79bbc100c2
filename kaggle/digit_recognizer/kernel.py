"""The pipeline on Kaggle's own machines: build what to push there, push it, ask for its status and its output.

Two folders are pushed: a data set of wheels and settings, and a script kernel that installs and runs them.
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

from digit_recognizer.command import call
from digit_recognizer.competition import SLUG
from digit_recognizer.failures import KaggleFailed, failure
from digit_recognizer.limits import Limits

KERNEL: Final = "tenfold-digit-recognizer"
WHEELS: Final = "tenfold-wheels"
METADATA: Final = "kernel-metadata.json"
DATASET_METADATA: Final = "dataset-metadata.json"
# In Kaggle's image already, and too large to upload.
PREINSTALLED: Final = ("torch", "torchvision", "pandas", "scikit-learn", "scipy", "numpy", "pillow", "matplotlib")
PLATFORMS: Final = (*(f"manylinux_2_{minor}_x86_64" for minor in (28, 27, 17)), "manylinux2014_x86_64")


class BuildFailed(RuntimeError):
    """The folders could not be built; the message says why."""


def account_name(limit_s: float) -> str:
    """The name of the Kaggle account. Raises KaggleFailed where there are no credentials."""
    result = call("config", "view", limit_s=limit_s)
    name = re.search(r"^- username: (\S+)$", result.stdout, re.MULTILINE)
    if not name or name[1] == "None":
        raise failure(result, "the account's name could not be read", limit_s)
    return name[1]


def build(
    out: Path, owner: str, settings: bytes | None, checkout: Path, requirements: Sequence[str], python: str
) -> None:
    """Write `out`/wheels and `out`/kernel anew, for the account `owner` and Kaggle's Python `python` ("3.12").

    `settings` is the settings.toml that overrides the kernel's preset, `checkout` this project's source folder,
    `requirements` what is downloaded as wheels. Raises BuildFailed.
    """
    source = checkout / "kaggle" / "kernel"
    if not (source / METADATA).is_file() or not (checkout / "pyproject.toml").is_file():
        raise BuildFailed(f"{checkout}: is not a checkout of tenfold, which a kernel needs; clone the repository")
    wheels, kernel = out / "wheels", out / "kernel"
    for folder in (wheels, kernel):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    _pip("wheel", "--no-deps", "--wheel-dir", str(wheels), str(checkout))
    platforms = [part for platform in PLATFORMS for part in ("--platform", platform)]
    target = ["--only-binary", ":all:", "--implementation", "cp", "--python-version", python, *platforms]
    _pip("download", *target, "--dest", str(wheels), *requirements)
    for wheel in wheels.glob("*.whl"):
        if wheel.name.partition("-")[0].lower().replace("_", "-") in PREINSTALLED:
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
    """Push what `build` wrote: the data set, then, once Kaggle has it ready, the kernel. Returns the kernel's URL.

    Raises BuildFailed where nothing was built, or KaggleFailed.
    """
    wheels, kernel = out / "wheels", out / "kernel"
    try:
        owner = json.loads((kernel / METADATA).read_text("utf-8"))["id"].partition("/")[0]
    except (OSError, ValueError, KeyError) as error:
        raise BuildFailed(f"{out}: has no kernel to push; `tenfold kernel build` makes it") from error
    dataset = f"{owner}/{WHEELS}"
    _push_dataset(wheels, dataset, limits)
    tell(f"pushed the data set {dataset}; waiting until Kaggle has it ready")
    end = time.monotonic() + limits.score_s
    while (state := call("datasets", "status", dataset, limit_s=limits.call_s).stdout.strip().lower()) != "ready":
        if time.monotonic() + limits.poll_s > end:
            raise KaggleFailed(
                "other", f"the data set {dataset} is not ready ({state or 'no answer'}); push again later"
            )
        time.sleep(limits.poll_s)
    result = call("kernels", "push", "-p", str(kernel), limit_s=limits.upload_s)
    pushed = re.search(r"successfully pushed.*?(https?://\S+)", result.stdout, re.DOTALL)
    if result.code != 0 or not pushed:
        raise failure(result, "the kernel was not pushed", limits.upload_s)
    return pushed[1]


def status(owner: str, limit_s: float) -> str:
    """The kernel's status in Kaggle's word: QUEUED, RUNNING, COMPLETE or ERROR. Raises KaggleFailed."""
    result = call("kernels", "status", f"{owner}/{KERNEL}", limit_s=limit_s)
    state = re.search(r'has status "(?:KernelWorkerStatus\.)?(\w+)"', result.stdout)
    if result.code != 0 or not state:
        raise failure(result, "the kernel's status could not be read", limit_s)
    return state[1].upper()


def output(owner: str, folder: Path, limit_s: float) -> list[Path]:
    """Download the kernel's output into `folder`. Raises KaggleFailed."""
    folder.mkdir(parents=True, exist_ok=True)
    page: list[str] = []
    while True:
        arguments = ["kernels", "output", f"{owner}/{KERNEL}", "-p", str(folder), "--force", *page]
        result = call(*arguments, limit_s=limit_s)
        if result.code != 0:
            raise failure(result, "the kernel's output could not be downloaded", limit_s)
        next_page = re.search(r"^Next page token: (\S+)$", result.stdout, re.IGNORECASE | re.MULTILINE)
        if not next_page:
            return sorted(path for path in folder.rglob("*") if path.is_file())
        page = ["--page-token", next_page[1]]


def _push_dataset(wheels: Path, dataset: str, limits: Limits) -> None:
    """Create the data set, or a new version of it."""
    exists = call("datasets", "status", dataset, limit_s=limits.call_s).code == 0
    arguments = ("datasets", "version", "-m", "tenfold") if exists else ("datasets", "create")
    result = call(*arguments, "-p", str(wheels), limit_s=limits.upload_s)
    # The command makes a data set of the files that arrived, however few, so they are counted.
    arrived = result.stdout.count("Upload successful: ")
    expected = sum(1 for path in wheels.iterdir() if path.name != DATASET_METADATA)
    if result.code != 0 or "is being created" not in result.stdout or arrived != expected:
        raise failure(result, f"the data set {dataset} was not pushed", limits.upload_s)


def _pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments, "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise BuildFailed(f"pip {arguments[0]} failed: {last}")


def _write(path: Path, table: dict[str, Any]) -> None:
    path.write_text(json.dumps(table, indent=2) + "\n", "utf-8")
