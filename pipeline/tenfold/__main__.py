"""The command `tenfold`, also as `python -m tenfold`.

While it is being loaded, Ctrl-C ends it without a word, since nothing has begun.
"""

from __future__ import annotations

import signal


def start() -> None:
    """Load the command line and run one command."""
    handler = signal.getsignal(signal.SIGINT)
    if handler is signal.default_int_handler:  # otherwise a background job, which ignores Ctrl-C
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from tenfold.cli import main

    signal.signal(signal.SIGINT, handler)
    main()


if __name__ == "__main__":
    start()
