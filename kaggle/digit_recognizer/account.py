"""The Kaggle account that the `kaggle` command acts for."""

from __future__ import annotations

import re

from digit_recognizer.command import Result, call
from digit_recognizer.failures import failure


def account_name(limit_s: float) -> str:
    """The name of the Kaggle account. Raises KaggleFailed where the command has none, as without credentials."""
    result = call("config", "view", limit_s=limit_s)
    name = _name(result)
    if name is None:
        raise failure(result, "the account's name could not be read", limit_s)
    return name


def known_account(limit_s: float) -> str | None:
    """The name of the Kaggle account; None where the command does not say it, although it may have credentials."""
    return _name(call("config", "view", limit_s=limit_s))


def _name(result: Result) -> str | None:
    name = re.search(r"^- username: (\S+)$", result.stdout, re.MULTILINE)
    return None if name is None or name[1] == "None" else name[1]
