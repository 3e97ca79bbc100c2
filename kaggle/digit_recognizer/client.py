"""Submissions: send one, list them, wait for a score, through the `kaggle` command. Never a false "submitted".

A submission counts as confirmed only once it is in the account's list, found by an id that only this attempt has.
The list is read whatever the command printed and however it ended. An attempt counts as refused only if Kaggle or the
command said so; that it is missing from the list proves nothing, since the list may lag and the server may be slow.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal

from digit_recognizer.command import Result, call
from digit_recognizer.competition import DAILY_SUBMISSIONS, SLUG
from digit_recognizer.failures import KaggleFailed, Kind, failure, failure_kind, quote, refuses, says_success
from digit_recognizer.limits import Limits

PAGE_SIZE: Final = 200  # submissions per request

Outcome = Literal["confirmed", "refused", "unknown"]


@dataclass(frozen=True)
class Submission:
    """One of the account's submissions, as Kaggle lists it."""

    ref: str
    file_name: str
    date: str  # UTC, as Kaggle writes it
    description: str
    status: str  # PENDING, COMPLETE or ERROR
    score: float | None  # public; None until there is one


@dataclass(frozen=True)
class Sent:
    """The result of an attempt to submit a file."""

    outcome: Outcome
    submission: Submission | None  # as listed, if it is
    failed: bool  # whether the command reported no success
    kind: Kind  # of that failure
    message: str  # the command's own, its end
    interrupted: bool  # by Ctrl-C


def list_submissions(limit_s: float) -> list[Submission]:
    """The account's latest submissions, newest first. Raises KaggleFailed."""
    result = call("competitions", "submissions", SLUG, "--csv", "-q", "--page-size", str(PAGE_SIZE), limit_s=limit_s)
    lines = result.stdout.splitlines()
    header = next((number for number, line in enumerate(lines) if line.startswith("ref,")), None)
    if result.code == 0 and header is not None:
        table = csv.DictReader(io.StringIO("\n".join(lines[header:])))
        return [_parse(row) for row in table]
    if result.code == 0 and "No submissions found" in result.stdout:
        return []
    raise failure(result, "the submissions could not be listed", limit_s)


def remaining_today(submissions: Sequence[Submission], limit_s: float) -> int:
    """Submissions left until midnight UTC, as Kaggle says, or counted in `submissions` where it does not say."""
    result = call("competitions", "submission-limits", SLUG, "--json", "-q", limit_s=limit_s)
    try:
        table = json.loads(result.stdout)
        left, today = int(table.get("numAllowedNow", 0)), int(table.get("numToday", 0))
    except (ValueError, TypeError, AttributeError):
        left = today = 0
    if left or today:
        return left
    # No numbers, or both 0, which is also what an account without a team gets before its first submission.
    date = datetime.now(UTC).date().isoformat()
    return max(0, DAILY_SUBMISSIONS - sum(entry.date.startswith(date) for entry in submissions))


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def new_id(sha256: str) -> str:
    """A unique id for one attempt to send the file with this hash. It becomes part of the description."""
    return f"{id_prefix(sha256)}{secrets.token_hex(4)}"


def id_prefix(sha256: str) -> str:
    """How the ids of all attempts to send one file start."""
    return f"tenfold-{sha256[:16]}-"


def find(submissions: Sequence[Submission], id_: str) -> Submission | None:
    """The newest submission whose description contains `id_`. An `id_prefix` finds any attempt for a file."""
    return next((entry for entry in submissions if id_ in entry.description), None)


def send(path: Path, id_: str, note: str, limits: Limits) -> Sent:
    """Submit the file at `path` with `note` and `id_` as its description, and find out whether it was submitted.

    Ctrl-C while the command runs kills it; the list is read all the same.
    """
    interrupted = False
    try:
        result = call("competitions", "submit", SLUG, "-f", str(path), "-m", f"{note} [{id_}]", limit_s=limits.upload_s)
    except KeyboardInterrupt:
        result, interrupted = Result(None, "", ""), True
    message = quote(result)
    if interrupted:
        message = "interrupted"
    elif result.code is None:
        message = f"no answer within {limits.upload_s:g} s"
    refused = refuses(result)
    submission = wait_until_listed(id_, limits, once=refused)
    outcome: Outcome = "confirmed" if submission else "refused" if refused else "unknown"
    return Sent(outcome, submission, not says_success(result), failure_kind(result), message, interrupted)


def wait_until_listed(id_: str, limits: Limits, once: bool = False) -> Submission | None:
    """Poll the list until the attempt is in it, for at most `appear_s`, or `once`. None where it is not."""
    end = time.monotonic() + limits.appear_s
    while True:
        try:
            submission = find(list_submissions(limits.call_s), id_)
        except KaggleFailed:
            submission = None
        if submission or once or time.monotonic() + limits.poll_s > end:
            return submission
        time.sleep(limits.poll_s)


def wait_for_score(id_: str, limits: Limits, tell: Callable[[str], None]) -> Submission | None:
    """Poll the list until the submission has a result; None if it has none within `score_s`."""
    end = time.monotonic() + limits.score_s
    while True:
        try:
            submission = find(list_submissions(limits.call_s), id_)
        except KaggleFailed as error:
            submission = None
            tell(str(error))
        if submission and submission.status != "PENDING":
            return submission
        if time.monotonic() + limits.poll_s > end:
            return None
        tell("waiting for the score")
        time.sleep(limits.poll_s)


def _parse(row: dict[str, str]) -> Submission:
    try:
        score: float | None = float(row.get("publicScore") or "")
    except ValueError:
        score = None
    status = (row.get("status") or "").rpartition(".")[2].upper()  # of "SubmissionStatus.COMPLETE"
    ref, file_name, date, description = (row.get(name) or "" for name in ("ref", "fileName", "date", "description"))
    return Submission(ref, file_name, date, description, status, score)
