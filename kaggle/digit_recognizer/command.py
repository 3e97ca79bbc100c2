"""Calls of the installed `kaggle` command, each in a process of its own and under a time limit.

Its exit code proves little, since several failures end with 0. Its output must be read as well.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from digit_recognizer import credentials
from digit_recognizer.limits import check_limit


class NotInstalled(RuntimeError):
    """The `kaggle` command is missing."""


@dataclass(frozen=True)
class Result:
    """Exit code and output of a call."""

    code: int | None  # None: killed at its time limit
    stdout: str  # credentials hidden
    stderr: str

    def message(self) -> str:
        """All output on one line."""
        return " ".join(f"{self.stdout} {self.stderr}".split())


def call(*arguments: str, limit_s: float) -> Result:
    """Run `kaggle ARGUMENTS` for at most `limit_s` seconds.

    Ctrl-C kills the command and raises KeyboardInterrupt; the caller must find out what was done by then.
    Raises NotInstalled or BadLimit.
    """
    check_limit("limit_s", limit_s)
    executable = Path(sys.executable).parent / ("kaggle.exe" if sys.platform == "win32" else "kaggle")
    if not executable.is_file():
        raise NotInstalled("the kaggle command is not installed beside this Python")
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    with subprocess.Popen(
        [str(executable), "-W", *arguments],
        env=environment | {"PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,  # so that Ctrl-C reaches only this process
    ) as process:
        try:
            stdout, stderr = process.communicate(timeout=limit_s)
            code: int | None = process.returncode
        except subprocess.TimeoutExpired:
            _kill(process)
            stdout, stderr = process.communicate()
            code = None
        except BaseException:
            _kill(process)
            raise
    return Result(code, credentials.redacted(stdout), credentials.redacted(stderr))


def _kill(process: subprocess.Popen[str]) -> None:
    if sys.platform == "win32":
        process.kill()
    else:
        os.killpg(process.pid, signal.SIGKILL)  # the whole session
