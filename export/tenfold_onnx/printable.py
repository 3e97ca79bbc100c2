"""What others wrote, in one line that a terminal only shows."""

from __future__ import annotations

import reprlib


def printable(text: str) -> str:
    """The text with its control characters, which a terminal would obey, escaped as in Python."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def first_line(error: Exception) -> str:
    """What an error says, in one printable line."""
    return printable((str(error).strip().splitlines() or [type(error).__name__])[0][:160])


def shown(value: object) -> str:
    """A wrong argument as a message quotes it: as Python writes it, shortened."""
    return printable(reprlib.repr(value))
