"""What remains of an error that nothing expected: one sentence, and a file with what a developer needs."""

from __future__ import annotations

import platform
import shlex
import tempfile
import traceback
from collections.abc import Sequence
from importlib.metadata import version
from typing import Final

from tenfold.errors import Unexpected

PREFIX: Final = "tenfold-error-"


def bug_report(error: Exception, command: Sequence[str]) -> str:
    """Write down where in the code an error arose; return the sentence that says so.

    The file has the command with its arguments, so a person should read it before sending it.
    """
    details = error.details if isinstance(error, Unexpected) else "".join(traceback.format_exception(error))
    what = str(error) if isinstance(error, Unexpected) else f"{type(error).__name__}: {error}"
    what = " ".join(what.split())[:200]
    text = (
        f"tenfold {version('tenfold')}, Python {platform.python_version()}, {platform.platform()}\n"
        f"tenfold {shlex.join(command)}\n\n{details}"
    )
    try:
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", errors="backslashreplace", prefix=PREFIX, suffix=".log", delete=False
        ) as file:
            file.write(text)
    except OSError:  # a full disk, or no folder for temporary files
        return f"a fault of this program ({what}); please report it, with what --verbose shows"
    return f"a fault of this program ({what}); please report it, with {file.name}"
