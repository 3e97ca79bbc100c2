"""Failures of calls of the `kaggle` command: of what kind, and what a person can do about them."""

from __future__ import annotations

import re
from typing import Final, Literal

from digit_recognizer import credentials
from digit_recognizer.command import Result
from digit_recognizer.competition import PAGE

SUCCESS: Final = "Successfully submitted"  # the command's words for an accepted submission
LIMIT_PHRASES: Final = ("daily limit", "submission limit", "submissions per day")
MESSAGE_LENGTH: Final = 300  # characters of the command's output that a message quotes

Kind = Literal["credentials", "rules", "limit", "unconfirmed", "other"]


class KaggleFailed(RuntimeError):
    """A call of the command failed; the message says why and what to do."""

    def __init__(self, kind: Kind, message: str) -> None:
        super().__init__(message)
        self.kind: Kind = kind


def failure(result: Result, what: str, limit_s: float) -> KaggleFailed:
    """The exception for a failed call; `what` says what that means, such as "nothing was downloaded"."""
    kind = failure_kind(result)
    if result.code is None:
        return KaggleFailed(kind, f"{what}: the kaggle command gave no answer within {limit_s:g} s; try again later")
    return KaggleFailed(kind, f"{what}: {explanation(kind, result.message()[:MESSAGE_LENGTH])}")


def failure_kind(result: Result) -> Kind:
    """The kind of a failed call, judged by the command's output."""
    message = result.message().lower()
    if "accept this competition" in message or "accept the competition" in message:
        return "rules"
    # 401 as a number of its own: a port or a hash may contain it too.
    if re.search(r"authentication required|unauthorized|unauthenticated|\b401\b", message):
        return "credentials"
    if SUCCESS.lower() not in message and any(phrase in message for phrase in LIMIT_PHRASES):
        return "limit"
    return "other"


def explanation(kind: Kind, message: str) -> str:
    """What went wrong and how to fix it; `message` is the command's own."""
    if kind == "credentials":
        problem = "refused" if credentials.present() else "not found"
        return f"Kaggle credentials were {problem}; {credentials.GET_TOKEN}"
    if kind == "rules":
        return f"the competition's rules are not accepted yet; accept them on its web page, {PAGE}/rules"
    return f"the kaggle command said: {message or 'nothing'}"
