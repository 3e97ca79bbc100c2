"""Failures of calls of the `kaggle` command: of what kind, and what a person can do about them."""

from __future__ import annotations

import re
from typing import Final, Literal

from digit_recognizer import credentials
from digit_recognizer.command import Result
from digit_recognizer.competition import PAGE

SUCCESS: Final = "Successfully submitted"  # the command's words for an accepted submission
SUBMISSION_NUMBER: Final = "Submission ref:"
SERVER_ERROR: Final = "This is a problem on Kaggle's side"  # HTTP's 5xx
# The command's words for an upload that failed before it asked Kaggle to take it, and for HTTP's 403, 404 and 429.
REFUSALS: Final = (
    "Could not submit to competition",
    "CompetitionApiService/StartSubmissionUpload",  # the request before the upload, named by its failure
    "You don't have access to this resource",
    "Could not find competition",
    "You have been rate limited",
    "403 Client Error",
    "404 Client Error",
    "429 Client Error",
)
LIMIT_PHRASES: Final = ("daily limit", "submission limit", "submission allowance", "submissions per day")
QUOTE_LENGTH: Final = 300  # characters of the command's output that a message quotes
# A line of an upload's progress: "100%|████| 208k/208k [00:00<00:00, 42.8MB/s]".
PROGRESS: Final = re.compile(r"^.*?\d+%\|.*\[.*\]\s*?$\n?", re.MULTILINE)
ADVICE: Final = re.compile(r"\s*If this is unexpected, you can re-run with `kaggle --debug.*", re.DOTALL)

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
    return KaggleFailed(kind, f"{what}: {explanation(kind, quote(result))}")


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


def says_success(result: Result) -> bool:
    """Whether the command ended well and said that the submission was accepted."""
    return result.code == 0 and SUCCESS in result.stdout


def refuses(result: Result) -> bool:
    """Whether a call of `competitions submit` says for certain that nothing was submitted.

    Everything else may have been received: a time limit, a lost connection, an error of the server, a reply that the
    command could not read.
    """
    message = result.message()
    if result.code is None or any(phrase in message for phrase in (SUCCESS, SUBMISSION_NUMBER, SERVER_ERROR)):
        return False
    if result.code == 0:  # Kaggle answered without accepting it; the command prints its words last, and no newline
        return bool(result.stdout.rpartition("\n")[2].strip())
    return failure_kind(result) != "other" or any(phrase in message for phrase in REFUSALS)


def quote(result: Result) -> str:
    """The end of what the command printed, on one line, since the cause comes last; of a traceback, its exception."""
    text = ADVICE.sub("", PROGRESS.sub("", f"{result.stdout}\n{result.stderr}"))
    _, traceback, after = text.rpartition("Traceback (most recent call last):\n")
    if traceback:
        # The frames are indented; the exception, which may have several lines, is not.
        exception = re.search(r"^\S(?:.|\n)*", after, re.MULTILINE)
        text = exception[0] if exception else after
    line = " ".join(text.split())
    return line if len(line) <= QUOTE_LENGTH else f"… {line[-QUOTE_LENGTH:].partition(' ')[2] or line[-QUOTE_LENGTH:]}"


def explanation(kind: Kind, message: str) -> str:
    """What went wrong and how to fix it; `message` is the command's own."""
    if kind == "credentials":
        problem = "refused" if credentials.present() else "not found"
        return f"Kaggle credentials were {problem}; {credentials.GET_TOKEN}"
    if kind == "rules":
        return f"the competition's rules are not accepted yet; accept them on its web page, {PAGE}/rules"
    return f"the kaggle command said: {message or 'nothing'}"
