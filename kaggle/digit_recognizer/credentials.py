"""Where the `kaggle` command looks for credentials: to know whether there are any, and to hide them in its output.

They are never printed, logged, stored, or put on a command line; only the command itself uses them.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Final

GET_TOKEN: Final = (
    "make a token at https://www.kaggle.com/settings (API), and put it in ~/.kaggle/access_token or KAGGLE_API_TOKEN"
)
REDACTED: Final = "[hidden]"
MIN_LENGTH: Final = 6  # characters; hiding shorter secrets would garble ordinary words


def present() -> bool:
    """Whether the `kaggle` command would find credentials. Kaggle may still refuse them."""
    return bool(_secrets())


def redacted(text: str) -> str:
    """`text` without any credential that occurs in it."""
    for secret in sorted(_secrets(), key=len, reverse=True):
        if len(secret) >= MIN_LENGTH:
            text = text.replace(secret, REDACTED)
    return text


def _secrets() -> set[str]:
    """Every key and token that the command could find."""
    token = os.environ.get("KAGGLE_API_TOKEN", "")
    secrets = {token, _text(Path(token)) if token else "", os.environ.get("KAGGLE_KEY", "")}
    for folder in _folders():
        secrets |= {_text(folder / name) for name in ("access_token", "access_token.txt")}
        secrets |= {_member(folder / "kaggle.json", "key")}
        secrets |= {_member(folder / "credentials.json", name) for name in ("refresh_token", "access_token")}
    return secrets - {""}


def _folders() -> list[Path]:
    own, xdg = os.environ.get("KAGGLE_CONFIG_DIR"), os.environ.get("XDG_CONFIG_HOME")
    try:
        home = [Path.home() / ".kaggle", *([] if xdg else [Path.home() / ".config" / "kaggle"])]
    except RuntimeError:  # the user has no home folder
        home = []
    return [*([Path(own)] if own else []), *home, *([Path(xdg) / "kaggle"] if xdg else [])]


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8").strip()
    except (OSError, ValueError):
        return ""


def _member(path: Path, name: str) -> str:
    try:
        value: Any = json.loads(_text(path))[name]
    except (ValueError, KeyError, TypeError):
        return ""
    return value if isinstance(value, str) else ""
