"""What a person reads while a command works, and how much of it. Colours and wrapped lines are for a terminal alone.

Imports rich only where something is drawn.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console, RenderableType


class Verbosity(IntEnum):
    """How much is printed."""

    QUIET = 0  # results and errors
    NORMAL = 1  # also notes, bars, and one line per training
    VERBOSE = 2  # also one line per epoch, and where in the code an error was raised


_current: ContextVar[Verbosity] = ContextVar("verbosity", default=Verbosity.NORMAL)


def verbosity() -> Verbosity:
    """How much is printed now."""
    return _current.get()


@contextmanager
def printing(level: Verbosity) -> Iterator[None]:
    """Inside `with`: print as much as `level` says."""
    token = _current.set(level)
    try:
        yield
    finally:
        _current.reset(token)


def console(stderr: bool = False) -> Console:
    """Standard output, or standard error, for what rich draws. Respects NO_COLOR, TERM and COLUMNS."""
    from rich.console import Console
    from rich.theme import Theme

    code = Theme({"markdown.code": "bold cyan"})  # without rich's black background
    return Console(stderr=stderr, highlight=False, markup=False, emoji=False, theme=code)


def result(line: str, style: str = "") -> None:
    """Print a line that was asked for, also with --quiet. A terminal shows it in `style`, broken between words."""
    if console().is_terminal:
        from rich.text import Text

        draw(Text(line, style))
    else:
        print(line, flush=True)


def draw(*drawings: RenderableType, wrap: bool = True) -> None:
    """Print what rich draws on standard output, one below the other. Without `wrap`, long lines stay whole."""
    out = console()
    with out.capture() as captured:
        for drawing in drawings:
            out.print(drawing, soft_wrap=not wrap)
    print(captured.get(), end="", flush=True)  # a print appears above bars that are shown; a console's own output not


def note(line: str) -> None:
    """Print a line about what happens; not with --quiet."""
    if verbosity() > Verbosity.QUIET:
        result(line)


@contextmanager
def busy(doing: str) -> Iterator[None]:
    """Inside `with`: a terminal shows that the command is `doing` something."""
    err = console(stderr=True)
    if verbosity() == Verbosity.QUIET or not err.is_terminal or err.is_dumb_terminal:
        yield
        return
    with err.status(doing, spinner="line"):
        yield
