"""Calls of the installed `kaggle` command, each in a process of its own and under a time limit.

Its exit code proves little, since several failures end with 0. Its output must be read as well. That output is the
command's and the server's: it gets here without control characters and without credentials.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from digit_recognizer import credentials, guard
from digit_recognizer.control_characters import without_control_characters
from digit_recognizer.limits import check_limit


class NotInstalled(RuntimeError):
    """The `kaggle` command is missing."""


@dataclass(frozen=True)
class Result:
    """Exit code and output of a call."""

    code: int | None  # None: killed at its time limit
    stdout: str  # credentials hidden, no control characters but tabs and newlines
    stderr: str

    def message(self) -> str:
        """All output on one line."""
        return " ".join(f"{self.stdout} {self.stderr}".split())


def call(*arguments: str, limit_s: float) -> Result:
    """Run `kaggle ARGUMENTS` for at most `limit_s` seconds. The command ends when this process ends, even if killed.

    Ctrl-C kills the command and raises KeyboardInterrupt; the caller must find out what was done by then.
    Raises NotInstalled or BadLimit.
    """
    check_limit("limit_s", limit_s)
    executable = Path(sys.executable).parent / ("kaggle.exe" if sys.platform == "win32" else "kaggle")
    if not executable.is_file():
        raise NotInstalled("the kaggle command is not installed beside this Python")
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    command = [sys.executable, "-I", "-S", guard.__file__, str(executable), "-W", *arguments]
    guard_input, own_end = os.pipe()
    with (
        os.fdopen(guard_input, "rb", buffering=0) as stdin,
        # Closing it ends the command. The system closes it too when this process is killed.
        os.fdopen(own_end, "wb", buffering=0) as lifeline,
        subprocess.Popen(
            command,
            env=environment | {"PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8"},
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,  # so that Ctrl-C reaches only this process
        ) as process,
    ):
        try:
            stdout, stderr = process.communicate(timeout=limit_s)
            code: int | None = process.returncode
        except subprocess.TimeoutExpired:
            lifeline.close()
            stdout, stderr = process.communicate()
            code = None
        except BaseException:
            lifeline.close()
            raise
    return Result(code, _shown(stdout), _shown(stderr))


def _shown(output: str) -> str:
    return credentials.redacted(without_control_characters(output))
