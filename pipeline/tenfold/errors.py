"""What can go wrong, in two kinds. The command line prints either as one sentence."""

from __future__ import annotations


class BadInput(ValueError):
    """What was asked for or handed in can't work; the message says what, where and the mend. Exit code 2."""


class RunFailed(RuntimeError):
    """The work was well asked for and still failed; the message says where and what to do. Exit code 1."""


class Diverged(RunFailed):
    """A loss became no number."""
