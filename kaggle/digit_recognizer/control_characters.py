"""Text of others, made safe to print: no escape sequence of it reaches a terminal."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

# The sequences of ECMA-48: CSI with its parameters, strings such as a window's title up to their end, two characters.
ESCAPE_SEQUENCE: Final = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"
    r"|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c\n]*(?:\x07|\x1b\\|\x9c)?"
    r"|\x1b[ -/]*[0-~]?"
)
# Cc: controls. Cf: invisible, such as those that reverse the writing direction. Zl, Zp: line breaks to some programs.
HIDDEN_CATEGORIES: Final = {"Cc", "Cf", "Cs", "Zl", "Zp"}


def without_control_characters(text: str) -> str:
    """`text` without escape sequences and invisible characters, except tabs and newlines. A return is a newline."""
    text = ESCAPE_SEQUENCE.sub("", text).replace("\r\n", "\n").replace("\r", "\n")
    return "".join(char for char in text if char in "\t\n" or unicodedata.category(char) not in HIDDEN_CATEGORIES)
