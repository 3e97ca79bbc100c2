"""Submit a file and wait for its score. Every attempt is recorded before it is sent, and none is sent twice.

What may be sent follows from the states in `attempt`. Imports no torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from digit_recognizer import client
from digit_recognizer.account import known_account
from digit_recognizer.client import Submission
from digit_recognizer.competition import PAGE
from digit_recognizer.failures import KaggleFailed, explanation
from digit_recognizer.limits import Limits
from tenfold.errors import BadInput
from tenfold.submit.attempt import UNRESOLVED, Attempt
from tenfold.submit.candidate import Candidate
from tenfold.submit.ledger import Ledger, locked
from tenfold.terminal import note, result

_UNKNOWN: Final = (
    "it may or may not have been sent: it is not in the list of submissions so far. "
    "The same command looks again; only --again sends it once more."
)


def submit(candidate: Candidate, again: bool, wait: bool, limits: Limits) -> None:
    """Send the file, unless it was sent already, and wait for its score. Prints what happens.

    Raises BadInput, KaggleFailed, or KeyboardInterrupt. The message says whether the file was sent.
    """
    with locked(candidate) as ledger:
        listed = client.list_submissions(limits.call_s)  # says what was sent already
        account = known_account(limits.call_s)
        waiting = {entry.id for entry in ledger.attempts() if entry.score is None}
        ledger.synchronise(listed)
        attempt = None if again else _attempt_to_continue(ledger, candidate, listed, account, waiting, limits)
        if attempt is None:
            left = client.remaining_today(listed, limits.call_s)
            for line in (*candidate.summary(), f"submissions left today: {left}"):
                note(line)
            if left < 1:
                raise KaggleFailed("limit", "not sent: no submission is left today; the count restarts at midnight UTC")
            attempt = _send(ledger, candidate, account, limits)
        if wait:
            _wait_for_score(ledger, attempt, limits)


def _attempt_to_continue(
    ledger: Ledger,
    candidate: Candidate,
    listed: Sequence[Submission],
    account: str | None,
    waiting: set[str],
    limits: Limits,
) -> Attempt | None:
    """The attempt that was sent and is among those `waiting` for a score; None where the file may be sent.

    Raises BadInput where the file was sent before, or KaggleFailed where it may have been.
    """
    attempts = [
        entry for entry in ledger.attempts() if entry.file_sha256 == candidate.sha256 and entry.may_belong_to(account)
    ]
    unresolved = [entry for entry in attempts if entry.state in UNRESOLVED]
    sent = [entry for entry in attempts if entry.state == "confirmed"]
    before = client.find(listed, client.id_prefix(candidate.sha256))  # sent from another machine, too
    if unresolved and not sent and not before:
        note("an earlier attempt is not in the list of submissions yet; waiting for it")
        submission = client.wait_until_listed(unresolved[-1].id, limits)
        if submission is None:
            raise KaggleFailed(
                "unconfirmed",
                f"{candidate.file}: nothing was sent now, since the attempt of {unresolved[-1].started} may have "
                f"arrived, although the list of submissions does not show it; look at {PAGE}/submissions, "
                "and give --again to send the file once more",
            )
        sent = [ledger.confirm(unresolved[-1], submission)]
    if sent and sent[-1].id in waiting:
        note(f"already sent as {sent[-1].ref}, on {sent[-1].started}; not sent again")
        return sent[-1]
    if before or sent:
        ref, date = (before.ref, before.date) if before else (sent[-1].ref, sent[-1].started)
        points = before.score if before else sent[-1].score
        score = "" if points is None else f", score {points:.5f}"
        raise BadInput(
            f"{candidate.file}: was sent already (submission {ref} of {date}{score}); --again sends it once more"
        )
    return None


def _send(ledger: Ledger, candidate: Candidate, account: str | None, limits: Limits) -> Attempt:
    attempt = Attempt(
        id=client.new_id(candidate.sha256),
        file=candidate.file.name,
        file_sha256=candidate.sha256,
        started=datetime.now(UTC).isoformat(timespec="seconds"),
        account=account,
        cv=candidate.cv[0] if candidate.cv else None,
        judge=candidate.judge,
    )
    ledger.add(attempt)
    note("sending")
    try:
        attempt = ledger.update(attempt, state="handed over")  # before the command starts: a kill may come at any time
        sent = client.send(candidate.file, attempt.id, candidate.note(), limits)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(_UNKNOWN) from None
    if sent.outcome == "confirmed" and sent.submission:
        attempt = ledger.confirm(attempt, sent.submission)
        result(f"submitted: {attempt.ref}" + (f", although: {sent.message}" if sent.failed else ""))
        if sent.interrupted:
            raise KeyboardInterrupt(f"stopped; it was submitted as {attempt.ref}")
        return attempt
    ledger.update(attempt, state=sent.outcome)
    if sent.interrupted:
        raise KeyboardInterrupt(_UNKNOWN)
    if sent.outcome == "unknown":
        raise KaggleFailed("unconfirmed", f"{_UNKNOWN} The kaggle command said: {sent.message or 'nothing'}")
    raise KaggleFailed(sent.kind, f"not sent: {explanation(sent.kind, sent.message)}")


def _wait_for_score(ledger: Ledger, attempt: Attempt, limits: Limits) -> None:
    """Wait for the score, and print it beside the run's own."""
    printed: set[str] = set()

    def print_once(line: str) -> None:
        if line not in printed:
            printed.add(line)
            note(line)

    try:
        submission = client.wait_for_score(attempt.id, limits, print_once)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"stopped waiting; it was submitted as {attempt.ref}") from None
    if submission is None:
        result(
            f"submitted as {attempt.ref}; no score within {limits.score_s:g} s, `tenfold submissions` shows it later"
        )
        return
    attempt = ledger.confirm(attempt, submission)
    if submission.status == "ERROR" or submission.score is None:
        raise KaggleFailed(
            "other", f"submitted as {attempt.ref}, but Kaggle gave it no score (status {submission.status})"
        )
    scores = [f"score: {submission.score:.5f}"]
    scores += [f"cross-validation {attempt.cv:.5f}"] if attempt.cv is not None else []
    scores += [f"offline test score {attempt.judge:.5f}"] if attempt.judge is not None else []
    result(", ".join(scores), style="bold")
