"""Where the `kaggle` command looks for credentials: to know whether there are any, and to hide them in its output.

They are never printed, logged, stored, or put on a command line; only the command itself uses them.
"""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from digit_recognizer.control_characters import without_control_characters

GET_TOKEN: Final = (
    "make a token at https://www.kaggle.com/settings (API), and put it in ~/.kaggle/access_token or KAGGLE_API_TOKEN"
)
REDACTED: Final = "[hidden]"
MIN_LENGTH: Final = 6  # characters; hiding shorter secrets would garble ordinary words
HEADER: Final = re.compile(r"(?<=['\"])(Bearer|Basic) [^'\"]*")  # quoted, as in an error about it


def present() -> bool:
    """Whether the `kaggle` command would find credentials. Kaggle may still refuse them."""
    return bool(_secrets())


def redacted(text: str) -> str:
    """`text` without any credential that occurs in it, as it is or in a form in which Python prints it."""
    forms = {form for secret in _secrets() for form in _printed_forms(secret) if len(form) >= MIN_LENGTH}
    for form in sorted(forms, key=len, reverse=True):
        text = text.replace(form, REDACTED)
    return HEADER.sub(rf"\1 {REDACTED}", text)


def _printed_forms(secret: str) -> Iterator[str]:
    """`secret` and each of its lines: plain, in the quotes of a str, of bytes or of JSON, and in a Basic header."""
    account = os.environ.get("KAGGLE_USERNAME", "")
    for part in (secret, *secret.splitlines()):
        for plain in (part, part.strip(), without_control_characters(part)):
            yield plain
            yield repr(plain)[1:-1]
            yield json.dumps(plain)[1:-1]
            for encoding in ("utf-8", "latin-1"):
                data = plain.encode(encoding, errors="replace")
                yield repr(data)[2:-1]
                yield base64.b64encode(f"{account}:".encode() + data).decode()


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
