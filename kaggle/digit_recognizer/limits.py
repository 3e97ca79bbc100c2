"""Time limits for calls of the `kaggle` command, which has none itself."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields


class BadLimit(ValueError):
    """A number that cannot be a time limit; the message names its option."""


@dataclass(frozen=True)
class Limits:
    """How long each step may take."""

    upload_s: float = 300.0
    """Seconds for the upload."""
    call_s: float = 60.0
    """Seconds for any other call."""
    appear_s: float = 30.0
    """Seconds until an uploaded submission must appear in the list."""
    score_s: float = 600.0
    """Seconds to wait for a score."""
    poll_s: float = 5.0
    """Seconds between two requests for the list."""

    def __post_init__(self) -> None:
        for entry in fields(self):
            check_limit(entry.name, getattr(self, entry.name))


def check_limit(name: str, seconds: float) -> None:
    """Raise BadLimit unless `seconds` can be a time limit; the message calls it by the option of this `name`."""
    if not 0 < seconds < math.inf:  # also refuses NaN
        raise BadLimit(f"--{name.replace('_', '-')}: must be a number of seconds > 0, got {seconds:g}")
