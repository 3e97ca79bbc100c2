"""The error for a file with the wrong content, and how its message quotes the file."""

from __future__ import annotations


class DamagedFile(ValueError):
    """A file with the wrong content; the message says where, what is wrong and how to fix it."""


def quoted(text: str) -> str:
    """`text` in quotes, on one line, cut to 20 characters."""
    return f"{text[:20]!r}{'...' if len(text) > 20 else ''}"
