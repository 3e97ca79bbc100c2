"""What can go wrong, in two kinds. The command line prints either as one sentence."""

from __future__ import annotations


class BadInput(ValueError):
    """The request or the input can't work; the message says what, where and how to fix it. Exit code 2."""


class RunFailed(RuntimeError):
    """The request was fine and the work still failed; the message says where and what to do. Exit code 1."""


class Diverged(RunFailed):
    """A loss became NaN or infinite."""
