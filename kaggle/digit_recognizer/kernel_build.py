"""Builds what is pushed to Kaggle's own machines.

Two folders: a data set of wheels and settings, and a script kernel that installs and runs them.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Final

from digit_recognizer.competition import SLUG
from digit_recognizer.staging import staging_folder

KERNEL: Final = "tenfold-digit-recognizer"
WHEELS: Final = "tenfold-wheels"
METADATA: Final = "kernel-metadata.json"
DATASET_METADATA: Final = "dataset-metadata.json"
SCRIPT: Final = "main.py"
SETTINGS: Final = "settings.toml"
# In Kaggle's image already, and too large to upload.
PREINSTALLED: Final = ("torch", "torchvision", "pandas", "scikit-learn", "scipy", "numpy", "pillow", "matplotlib")
PLATFORMS: Final = (*(f"manylinux_2_{minor}_x86_64" for minor in (28, 27, 17)), "manylinux2014_x86_64")
STAGING: Final = ".tenfold-kernel-build-"


class BuildFailed(RuntimeError):
    """The folders could not be built; the message says why."""


def build(
    out: Path, owner: str, settings: bytes | None, checkout: Path, requirements: Sequence[str], python: str
) -> None:
    """Write `out`/wheels and `out`/kernel anew, for the account `owner` and Kaggle's Python `python` ("3.12").

    `settings` is the settings.toml that overrides the kernel's preset, `checkout` this project's source folder,
    `requirements` what is downloaded as wheels. Only what an earlier build wrote is replaced, and only once the new
    build is complete. Raises BuildFailed; then everything is as it was.
    """
    source = checkout / "kaggle" / "kernel"
    if not (source / METADATA).is_file() or not (checkout / "pyproject.toml").is_file():
        raise BuildFailed(f"{checkout}: is not a checkout of tenfold, which a kernel needs; clone the repository")
    wheels, kernel = out / "wheels", out / "kernel"
    _check_replaceable(wheels, kernel)
    is_new = not out.exists()
    out.mkdir(parents=True, exist_ok=True)
    try:
        with staging_folder(out, STAGING) as staging:
            _write_wheels(staging / "wheels", owner, settings, checkout, requirements, python)
            _write_kernel(staging / "kernel", owner, source)
            _check_replaceable(wheels, kernel)  # again: the wheels took minutes
            _swap(staging, wheels, kernel)
    except BaseException:
        if is_new:
            with contextlib.suppress(OSError):
                out.rmdir()
        raise


def _swap(staging: Path, *folders: Path) -> None:
    """Move the new folders from `staging` to their places, and the earlier ones into it; all of them or none."""
    earlier = staging / "earlier"
    earlier.mkdir()
    try:
        for folder in folders:
            if folder.exists():
                folder.rename(earlier / folder.name)
            (staging / folder.name).rename(folder)
    except BaseException:
        for path in earlier.iterdir():
            place = next(folder for folder in folders if folder.name == path.name)
            if place.exists():
                place.rename(staging / path.name)
            path.rename(place)
        raise


def _check_replaceable(wheels: Path, kernel: Path) -> None:
    """Raise BuildFailed unless each folder is missing, empty, or what an earlier build wrote, and nothing else."""
    for folder, metadata, name, files in (
        (wheels, DATASET_METADATA, WHEELS, ("*.whl", SETTINGS)),
        (kernel, METADATA, KERNEL, (SCRIPT,)),
    ):
        if not folder.exists() and not folder.is_symlink():
            continue
        remedy = "nothing was changed; move it away, or give another --out"
        if folder.is_symlink() or not folder.is_dir():
            raise BuildFailed(f"{folder}: is not a folder that `tenfold kernel build` wrote; {remedy}")
        content = sorted(folder.iterdir())
        if content and not _is_named(folder / metadata, name):
            raise BuildFailed(f"{folder}: holds files, and not those of an earlier `tenfold kernel build`; {remedy}")
        for path in content:
            known = any(fnmatch(path.name, pattern) for pattern in (metadata, *files))
            if not known or path.is_symlink() or not path.is_file():
                raise BuildFailed(f"{path}: `tenfold kernel build` did not write it, and replaces its folder; {remedy}")


def _is_named(metadata: Path, name: str) -> bool:
    """Whether the metadata is that of our kernel or data set `name`, whoever owns it."""
    try:
        return str(json.loads(metadata.read_text("utf-8"))["id"]).rpartition("/")[2] == name
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return False


def _write_wheels(
    folder: Path, owner: str, settings: bytes | None, checkout: Path, requirements: Sequence[str], python: str
) -> None:
    folder.mkdir()
    _pip("wheel", "--no-deps", "--wheel-dir", str(folder), str(checkout))
    platforms = [part for platform in PLATFORMS for part in ("--platform", platform)]
    target = ["--only-binary", ":all:", "--implementation", "cp", "--python-version", python, *platforms]
    _pip("download", *target, "--dest", str(folder), *requirements)
    for wheel in folder.glob("*.whl"):
        if wheel.name.partition("-")[0].lower().replace("_", "-") in PREINSTALLED:
            wheel.unlink()
    if settings is not None:
        (folder / SETTINGS).write_bytes(settings)
    _write(
        folder / DATASET_METADATA,
        {"title": "tenfold wheels", "id": f"{owner}/{WHEELS}", "licenses": [{"name": "other"}]},
    )


def _write_kernel(folder: Path, owner: str, source: Path) -> None:
    folder.mkdir()
    shutil.copyfile(source / SCRIPT, folder / SCRIPT)
    metadata = json.loads((source / METADATA).read_text("utf-8"))
    changes = {"id": f"{owner}/{KERNEL}", "competition_sources": [SLUG], "dataset_sources": [f"{owner}/{WHEELS}"]}
    _write(folder / METADATA, metadata | changes)


def _pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments, "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise BuildFailed(f"pip {arguments[0]} failed: {last}")


def _write(path: Path, table: dict[str, Any]) -> None:
    path.write_text(json.dumps(table, indent=2) + "\n", "utf-8")
