"""The installed `kaggle` command, in a process of its own and under a time limit: it has none itself.

Its exit code proves little (several failures end with 0), so what it said is always looked at as well.
"""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from digit_recognizer import credentials


class NotInstalled(RuntimeError):
    """The `kaggle` command is missing; the message says how to get it."""


class BadLimit(ValueError):
    """A time limit can't be one; the message says which."""


@dataclass(frozen=True)
class Finished:
    """How a call ended."""

    code: int | None  # None: its time was up and it was killed
    stdout: str  # without credentials, as is
    stderr: str

    def said(self) -> str:
        """All it said, in one line for people."""
        return " ".join(f"{self.stdout} {self.stderr}".split())


def checked_limit(name: str, seconds: float) -> float:
    """`seconds`, if it can be a time limit. Raises BadLimit, which calls it by its option's `name`."""
    if not 0 < seconds < math.inf:  # which also refuses nan
        raise BadLimit(f"--{name.replace('_', '-')}: is {seconds:g} where a number of seconds above 0 belongs")
    return seconds


def call(*arguments: str, limit_s: float) -> Finished:
    """Run `kaggle ARGUMENTS` for at most `limit_s` seconds.

    Ctrl-C does not reach it: KeyboardInterrupt comes out of here once it is killed, and the caller finds out
    what it had done by then. Raises NotInstalled or BadLimit.
    """
    checked_limit("limit_s", limit_s)
    executable = Path(sys.executable).parent / ("kaggle.exe" if sys.platform == "win32" else "kaggle")
    if not executable.is_file():
        raise NotInstalled("the kaggle command is not installed beside this Python; pip install 'tenfold[kaggle]'")
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
        start_new_session=True,
    ) as running:
        try:
            stdout, stderr = running.communicate(timeout=limit_s)
            code: int | None = running.returncode
        except subprocess.TimeoutExpired:
            _kill(running)
            stdout, stderr = running.communicate()
            code = None
        except BaseException:
            _kill(running)
            raise
    return Finished(code, credentials.blotted(stdout), credentials.blotted(stderr))


def _kill(running: subprocess.Popen[str]) -> None:
    if sys.platform == "win32":
        running.kill()
    else:
        os.killpg(running.pid, signal.SIGKILL)  # its own session, see above
