"""The package's optional parts, and the command that installs one where this copy of tenfold came from."""

from __future__ import annotations

import json
import shlex
import shutil
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

# The packages that each extra installs, for the sentence that names a missing one.
EXTRAS: Final = {
    "train": ("torch", "torchvision", "pandas", "sklearn", "scipy", "onnx", "onnx_ir", "onnxscript", "safetensors",
              "matplotlib", "mlxtend", "jinja2", "markupsafe", "tomli_w", "dacite"),
    "tensorboard": ("tensorboard",),
    "app": ("starlette", "uvicorn"),
    "kaggle": ("filelock",),
    "cluster": ("ray",),
}  # fmt: skip
CHECKOUT: Final = Path(__file__).resolve().parents[2]  # of the source code, if it is one


def missing_package(error: ModuleNotFoundError) -> str | None:
    """The sentence about a package that an extra installs; None for any other package."""
    for extra, packages in EXTRAS.items():
        if error.name and error.name.partition(".")[0] in packages:
            return f"{error.name} is not installed; {install_command(extra)}"
    return None


def install_command(extra: str) -> str:
    """The command that adds an extra to this installation, from where it came (PEP 610)."""
    pip = shutil.which("pip")
    beside = pip is not None and Path(pip).parent == Path(sys.executable).parent
    name = "pip" if beside else f"{shlex.quote(sys.executable)} -m pip"
    return f"{name} install {requirement(extra, _origin())}"


def requirement(extra: str, origin: dict[str, Any] | None) -> str:
    """What pip is told to install, quoted for a shell; `origin` is a direct_url.json, None for a package index."""
    if origin is None:
        return shlex.quote(f"tenfold[{extra}]")
    url = origin["url"]
    if "vcs_info" in origin:
        vcs = origin["vcs_info"]
        revision = f"@{vcs['requested_revision']}" if vcs.get("requested_revision") else ""
        return shlex.quote(f"tenfold[{extra}] @ {vcs['vcs']}+{url}{revision}")
    if urlsplit(url).scheme != "file":
        return shlex.quote(f"tenfold[{extra}] @ {url}")
    editable = "-e " if origin.get("dir_info", {}).get("editable") else ""
    return editable + shlex.quote(f"{unquote(urlsplit(url).path)}[{extra}]")


def _origin() -> dict[str, Any] | None:
    """The direct_url.json of this installation; that of an editable one for a checkout, installed or not."""
    if (CHECKOUT / "pyproject.toml").is_file():
        return {"url": CHECKOUT.as_uri(), "dir_info": {"editable": True}}
    try:
        recorded = distribution("tenfold").read_text("direct_url.json")
    except PackageNotFoundError:
        return None
    return json.loads(recorded) if recorded else None
