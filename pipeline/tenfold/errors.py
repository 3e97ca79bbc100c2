"""What can go wrong, in two kinds. The command line and notebooks show either as one sentence."""

from __future__ import annotations

import errno
from typing import Final

# How torch and onnxruntime, whose errors have no class of their own for it, say that an allocation failed.
ALLOCATION_FAILED: Final = (
    "can't allocate memory",
    "failed to allocate memory",
    "cannot allocate memory",
    "out of memory",
    "bad_alloc",
    "can't start new thread",
)


class _Sentence(Exception):
    """An error whose message says all that a person needs."""

    def _render_traceback_(self) -> list[str]:
        """What IPython, and so a notebook, shows instead of a traceback."""
        return [f"{type(self).__name__}: {self}"]


class BadInput(_Sentence, ValueError):
    """The request or the input can't work; the message says what, where and how to fix it. Exit code 2."""


class RunFailed(_Sentence, RuntimeError):
    """The request was fine and the work still failed; the message says where and what to do. Exit code 1."""


class Unexpected(RunFailed):
    """A fault of this program; the message says which, `details` where in the code."""

    def __init__(self, message: str, details: str) -> None:
        super().__init__(message, details)  # both, since exceptions are pickled by their arguments
        self.details = details

    def __str__(self) -> str:
        return str(self.args[0])

    def _render_traceback_(self) -> list[str]:
        return [*super()._render_traceback_(), self.details]


class Diverged(RunFailed):
    """A loss became NaN or infinite."""


def memory_ran_out(error: Exception) -> bool:
    """Whether an error means that there was not enough memory."""
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    text = str(error).lower()
    return isinstance(error, MemoryError) or any(words in text for words in ALLOCATION_FAILED)
