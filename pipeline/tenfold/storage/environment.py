"""The machine, the versions and the commit that a run runs on."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from tenfold.extras import CHECKOUT

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


def environment() -> dict[str, Any]:
    """Machine, versions and commit, as plain values."""
    return {
        "python": platform.python_version(),
        "system": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "git_commit": git_commit(CHECKOUT),
        "packages": {name: _version(name) for name in RECORDED},
    }


def machine() -> str:
    """The processor and its cores, in words."""
    return f"{_processor()}, {os.cpu_count()} cores"


def _processor() -> str:
    try:
        return processor_named(Path("/proc/cpuinfo").read_text())
    except OSError:
        return platform.processor()


def processor_named(cpuinfo: str) -> str:
    """A processor's name and widest instruction set, from Linux's /proc/cpuinfo: one name can mean many speeds."""
    entries = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in cpuinfo.splitlines())}
    name, flags = entries.get("model name", platform.processor()), entries.get("flags", "").split()
    widest = next((text for flag, text in WIDEST.items() if flag in flags), None)
    return f"{name} with {widest}" if widest else name


def git_commit(checkout: Path) -> str | None:
    """The commit of the checkout in this very folder; None where it is none, as for an installed wheel.

    Whoever owns the checkout: git refuses another user's only where it has to search for it.
    """
    try:
        done = subprocess.run(
            ["git", f"--git-dir={checkout / '.git'}", "rev-parse", "HEAD"], capture_output=True, text=True, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
