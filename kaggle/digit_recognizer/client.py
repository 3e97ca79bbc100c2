"""Download, submit and list, by means of the `kaggle` command, and never a false "submitted".

A submission counts as sent only once it stands in the account's list, found by an id that only this attempt
has. Whatever the command says, and however it ends, the list is asked.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
import secrets
import time
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal

from digit_recognizer import credentials
from digit_recognizer.command import Finished, call, checked_limit
from digit_recognizer.competition import ARCHIVE, DAILY_SUBMISSIONS, PAGE, SLUG, TEST, TEST_ROWS, TRAIN, TRAIN_ROWS
from digit_recognizer.rows import DamagedFile, read_header
from digit_recognizer.staging import staging_folder

LISTED: Final = 200  # submissions asked for at once
SUCCESS: Final = "Successfully submitted"  # what the command says of a submission that was taken
LIMIT_WORDS: Final = ("daily limit", "submission limit", "submissions per day")
WORDS: Final = 300  # characters of the command's own words in a message of ours

Kind = Literal["credentials", "rules", "limit", "unconfirmed", "other"]
Outcome = Literal["submitted", "not sent", "unknown"]


class KaggleFailed(RuntimeError):
    """A call of the command did not do what was asked; the message says why and the mend."""

    def __init__(self, kind: Kind, message: str) -> None:
        super().__init__(message)
        self.kind: Kind = kind


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
class Limits:
    """How long things may take. The command itself would wait for ever."""

    upload_s: float = 300.0
    """Seconds for the one call that sends."""
    call_s: float = 60.0
    """Seconds for any other call."""
    appear_s: float = 30.0
    """Seconds until what was sent must stand in the list."""
    score_s: float = 600.0
    """Seconds to wait for a score."""
    poll_s: float = 5.0
    """Seconds between two looks at the list."""

    def __post_init__(self) -> None:
        for entry in fields(self):
            checked_limit(entry.name, getattr(self, entry.name))


@dataclass(frozen=True)
class Sent:
    """What became of an attempt."""

    outcome: Outcome
    submission: Submission | None  # as listed, where it was found
    failed: bool  # whether the command itself claimed no success
    kind: Kind  # of that failure
    said: str  # the command's own words, cut short
    interrupted: bool  # by Ctrl-C


def download(folder: Path, limit_s: float) -> Path:
    """Fetch the competition's zip into `folder`; an old one is replaced only by one that is whole.

    Raises KaggleFailed, or DamagedFile where what came is not the competition's.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with staging_folder(folder, ".downloading-") as place:
        finished = call("competitions", "download", SLUG, "-p", str(place), "--force", limit_s=limit_s)
        got = place / ARCHIVE
        if finished.code != 0 or not got.is_file():
            raise failed(finished, "nothing was downloaded", limit_s)
        try:
            check_archive(got)
        except DamagedFile as damage:
            raise DamagedFile(f"{folder / ARCHIVE}: not replaced, since what came {damage}; download again") from None
        got.replace(folder / ARCHIVE)
    return folder / ARCHIVE


def check_archive(path: Path) -> None:
    """Check every CRC, and header and row count of both CSVs. Raises DamagedFile: "is no whole zip archive"."""
    try:
        with zipfile.ZipFile(path) as archive:
            broken = archive.testzip()
            if broken:
                raise DamagedFile(f"has a damaged {broken}")
            for name, rows, labelled in ((TRAIN, TRAIN_ROWS, True), (TEST, TEST_ROWS, False)):
                if name not in archive.namelist():
                    raise DamagedFile(f"holds no {name}")
                with archive.open(name) as stream:
                    read_header(stream, name, labelled)
                    found = sum(1 for line in stream if line.strip())
                if found != rows:
                    raise DamagedFile(f"has {found:,} rows in {name} where {rows:,} belong")
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise DamagedFile(f"is no whole zip archive ({error})") from error


def listed(limit_s: float) -> list[Submission]:
    """The account's newest submissions, newest first. Raises KaggleFailed."""
    finished = call("competitions", "submissions", SLUG, "--csv", "-q", "--page-size", str(LISTED), limit_s=limit_s)
    lines = finished.stdout.splitlines()
    start = next((number for number, line in enumerate(lines) if line.startswith("ref,")), None)
    if finished.code == 0 and start is not None:
        table = csv.DictReader(io.StringIO("\n".join(lines[start:])))
        return [_submission(row) for row in table]
    if finished.code == 0 and "No submissions found" in finished.stdout:
        return []
    raise failed(finished, "the list of submissions could not be had", limit_s)


def remaining_today(submissions: Sequence[Submission], limit_s: float) -> int:
    """Submissions left until midnight UTC: what Kaggle says, or counted in the list where it does not say."""
    finished = call("competitions", "submission-limits", SLUG, "--json", "-q", limit_s=limit_s)
    try:
        said = json.loads(finished.stdout)
        left, today = int(said.get("numAllowedNow", 0)), int(said.get("numToday", 0))
    except (ValueError, TypeError, AttributeError):
        left = today = 0
    if left or today:
        return left
    # No number, or all of them 0, which also an account gets that is not on a team before its first submission.
    midnight = datetime.now(UTC).date().isoformat()
    return max(0, DAILY_SUBMISSIONS - sum(entry.date.startswith(midnight) for entry in submissions))


def fingerprint(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def new_id(sha256: str) -> str:
    """An id for one attempt to send the file with this hash. It goes into the submission's description."""
    return f"{id_prefix(sha256)}{secrets.token_hex(4)}"


def id_prefix(sha256: str) -> str:
    """What the ids of all attempts to send one file begin with."""
    return f"tenfold-{sha256[:16]}-"


def find(submissions: Sequence[Submission], id_: str) -> Submission | None:
    """The submission whose description holds `id_`, or begins so: an `id_prefix` finds any attempt."""
    return next((entry for entry in submissions if id_ in entry.description), None)


def send(path: Path, id_: str, note: str, limits: Limits) -> Sent:
    """Submit the file at `path` with `note` and `id_` as its description, and find out what became of it.

    Ctrl-C while the command runs kills it; what had become of the attempt by then is found out all the same.
    """
    interrupted = False
    try:
        finished = call(
            "competitions", "submit", SLUG, "-f", str(path), "-m", f"{note} [{id_}]", limit_s=limits.upload_s
        )
    except KeyboardInterrupt:
        finished, interrupted = Finished(None, "", ""), True
    claimed = finished.code == 0 and SUCCESS in finished.stdout
    kind, said = _kind(finished), finished.said()[:WORDS]
    if interrupted:
        said = "interrupted"
    elif finished.code is None:
        said = f"no answer within {limits.upload_s:g} s"
    never_created = kind != "other" or "Could not submit to competition" in finished.said()
    found, looked = look_for(id_, limits)
    outcome: Outcome = "unknown"
    if found:
        outcome = "submitted"
    elif never_created or (looked and not claimed):
        outcome = "not sent"
    return Sent(outcome, found, not claimed, kind, said, interrupted)


def look_for(id_: str, limits: Limits) -> tuple[Submission | None, bool]:
    """Look for an attempt in the list until `appear_s` are over: it, if there, and whether the last look succeeded."""
    end, looked = time.monotonic() + limits.appear_s, False
    while True:
        try:
            found, looked = find(listed(limits.call_s), id_), True
        except KaggleFailed:
            found, looked = None, False
        if found or time.monotonic() + limits.poll_s > end:
            return found, looked
        time.sleep(limits.poll_s)


def scored(id_: str, limits: Limits, tell: Callable[[str], None]) -> Submission | None:
    """Wait for the score of a submission that stands in the list; None if there is none within `score_s`."""
    end = time.monotonic() + limits.score_s
    while True:
        try:
            found = find(listed(limits.call_s), id_)
        except KaggleFailed as reason:
            found = None
            tell(f"could not look: {reason}")
        if found and found.status != "PENDING":
            return found
        if time.monotonic() + limits.poll_s > end:
            return None
        tell("waiting for the score")
        time.sleep(limits.poll_s)


def _submission(row: dict[str, str]) -> Submission:
    score = row.get("publicScore") or ""
    try:
        number: float | None = float(score)
    except ValueError:
        number = None
    status = (row.get("status") or "").rpartition(".")[2].upper()  # "SubmissionStatus.COMPLETE"
    parts = (row.get("ref"), row.get("fileName"), row.get("date"), row.get("description"))
    ref, file_name, date, description = (part or "" for part in parts)
    return Submission(ref, file_name, date, description, status, number)


def _kind(finished: Finished) -> Kind:
    said = finished.said().lower()
    if "accept this competition" in said or "accept the competition" in said:
        return "rules"
    # 401 as a number of its own: a port or a hash may hold it too.
    if re.search(r"authentication required|unauthorized|unauthenticated|\b401\b", said):
        return "credentials"
    if SUCCESS.lower() not in said and any(words in said for words in LIMIT_WORDS):
        return "limit"
    return "other"


def reason(kind: Kind, said: str) -> str:
    """A failure of this kind and its mend, in words."""
    if kind == "credentials":
        known = "refused" if credentials.present() else "not found"
        return f"Kaggle credentials were {known}; {credentials.GET_SOME}"
    if kind == "rules":
        return f"the competition's rules are not accepted yet; accept them on its web page, {PAGE}/rules"
    return f"the kaggle command said: {said or 'nothing'}"


def failed(finished: Finished, what: str, limit_s: float) -> KaggleFailed:
    """What to raise for a call that did not do its work: `what` says in words what that means."""
    kind = _kind(finished)
    if finished.code is None:
        return KaggleFailed(kind, f"{what}: the kaggle command gave no answer within {limit_s:g} s; try again later")
    return KaggleFailed(kind, f"{what}: {reason(kind, finished.said()[:WORDS])}")
