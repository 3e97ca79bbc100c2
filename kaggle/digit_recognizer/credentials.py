"""Where the `kaggle` command looks for credentials: to know whether there are any, and to keep them out of sight.

They are never printed, logged, stored, or put on a command line; only the command itself uses them.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Final

GET_SOME: Final = (
    "make a token at https://www.kaggle.com/settings (API), and put it in ~/.kaggle/access_token or KAGGLE_API_TOKEN"
)
BLOT: Final = "[hidden]"
SHORTEST: Final = 6  # characters; blotting out less would garble ordinary words


def present() -> bool:
    """Whether the `kaggle` command would find credentials. They may still be refused."""
    return bool(_secrets())


def blotted(text: str) -> str:
    """`text` without any credential that occurs in it."""
    for secret in sorted(_secrets(), key=len, reverse=True):
        if len(secret) >= SHORTEST:
            text = text.replace(secret, BLOT)
    return text


def _secrets() -> set[str]:
    """Every key and token that the command could come upon."""
    token = os.environ.get("KAGGLE_API_TOKEN", "")
    found = {token, _text(Path(token)) if token else "", os.environ.get("KAGGLE_KEY", "")}
    for folder in _folders():
        found |= {_text(folder / name) for name in ("access_token", "access_token.txt")}
        found |= {_member(folder / "kaggle.json", "key")}
        found |= {_member(folder / "credentials.json", name) for name in ("refresh_token", "access_token")}
    return found - {""}


def _folders() -> list[Path]:
    asked, config = os.environ.get("KAGGLE_CONFIG_DIR"), os.environ.get("XDG_CONFIG_HOME")
    try:
        home = [Path.home() / ".kaggle", *([] if config else [Path.home() / ".config" / "kaggle"])]
    except RuntimeError:  # the user has none
        home = []
    return [*([Path(asked)] if asked else []), *home, *([Path(config) / "kaggle"] if config else [])]


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
