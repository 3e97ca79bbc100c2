"""What can go wrong, in two kinds. The command line and notebooks show either as one sentence."""

from __future__ import annotations


class _Sentence(Exception):
    """An error whose message says all that a person needs."""

    def _render_traceback_(self) -> list[str]:
        """What IPython, and so a notebook, shows instead of a traceback."""
        return [f"{type(self).__name__}: {self}"]


class BadInput(_Sentence, ValueError):
    """The request or the input can't work; the message says what, where and how to fix it. Exit code 2."""


class RunFailed(_Sentence, RuntimeError):
    """The request was fine and the work still failed; the message says where and what to do. Exit code 1."""


class Diverged(RunFailed):
    """A loss became NaN or infinite."""
