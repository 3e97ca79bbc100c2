"""Runs a command that ends when its caller ends, in whatever way: a kill -9 too. Started as a script, by `command`.

The caller holds the other end of the pipe that is this script's standard input. The system closes that end when the
caller is gone, on every platform; a signal handler in the caller could not run after a kill -9.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading


def main() -> None:
    """Run the command in the arguments, and exit with its code."""
    process = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)

    def end_with_caller() -> None:
        os.read(0, 1)  # returns once the caller's end is closed; nothing is ever written
        process.kill()

    threading.Thread(target=end_with_caller, daemon=True).start()
    code = process.wait()
    os._exit(code if code >= 0 else 128 - code)  # at once, although the thread still reads


if __name__ == "__main__":
    main()
