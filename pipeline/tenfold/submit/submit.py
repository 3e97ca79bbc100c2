"""Submit a file and wait for its score. Every attempt is recorded before it is sent, and none is sent twice.

Imports no torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from digit_recognizer import client
from digit_recognizer.client import Submission
from digit_recognizer.failures import KaggleFailed, explanation
from digit_recognizer.limits import Limits
from tenfold.errors import BadInput
from tenfold.submit.candidate import Candidate
from tenfold.submit.ledger import Attempt, Ledger, locked
from tenfold.terminal import note, result

_UNKNOWN: Final = (
    "it may or may not have been sent: it is not in the list of submissions so far. "
    "The same command looks again before it sends anything."
)


def submit(candidate: Candidate, again: bool, wait: bool, limits: Limits) -> None:
    """Send the file, unless it was sent already, and wait for its score. Prints what happens.

    Raises BadInput, KaggleFailed, or KeyboardInterrupt. The message says whether the file was sent.
    """
    with locked(candidate.file.parent) as ledger:
        listed = client.list_submissions(limits.call_s)  # says what was sent already
        attempt = _attempt_to_continue(ledger, candidate, listed, again)
        if attempt is None:
            left = client.remaining_today(listed, limits.call_s)
            for line in (*candidate.summary(), f"submissions left today: {left}"):
                note(line)
            if left < 1:
                raise KaggleFailed("limit", "not sent: no submission is left today; the count restarts at midnight UTC")
            attempt = _send(ledger, candidate, limits)
        if wait:
            _wait_for_score(ledger, attempt, limits)


def _attempt_to_continue(
    ledger: Ledger, candidate: Candidate, listed: Sequence[Submission], again: bool
) -> Attempt | None:
    """The attempt that was submitted and has no score yet; None where the file is to be sent.

    Raises BadInput where the file was sent before, unless `again` is set.
    """
    unfinished = {attempt.id for attempt in ledger.attempts() if attempt.state != "not sent" and attempt.score is None}
    ledger.synchronise(listed)
    attempts = [attempt for attempt in ledger.attempts() if attempt.file_sha256 == candidate.sha256]
    for attempt in attempts:
        if attempt.state in ("sending", "unknown"):  # and Kaggle does not list it
            ledger.update(attempt, state="not sent")
    last = attempts[-1] if attempts else None
    if last and last.id in unfinished and last.state == "submitted" and not again:
        note(f"already sent as {last.ref}, on {last.started}; not sent again")
        return last
    before = client.find(listed, client.id_prefix(candidate.sha256))
    if before and not again:
        score = "" if before.score is None else f", score {before.score:.5f}"
        raise BadInput(
            f"{candidate.file}: was sent already (submission {before.ref} of {before.date}{score}); "
            "--again sends it once more"
        )
    return None


def _send(ledger: Ledger, candidate: Candidate, limits: Limits) -> Attempt:
    attempt = Attempt(
        id=client.new_id(candidate.sha256),
        file=candidate.file.name,
        file_sha256=candidate.sha256,
        started=datetime.now(UTC).isoformat(timespec="seconds"),
        cv=candidate.cv[0] if candidate.cv else None,
        judge=candidate.judge,
    )
    ledger.put(attempt)
    note("sending")
    try:
        sent = client.send(candidate.file, attempt.id, candidate.note(), limits)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(_UNKNOWN) from None
    if sent.outcome == "submitted" and sent.submission:
        attempt = ledger.confirm(attempt, sent.submission)
        result(f"submitted: {attempt.ref}" + (f", although: {sent.message}" if sent.failed else ""))
        if sent.interrupted:
            raise KeyboardInterrupt(f"stopped; it was submitted as {attempt.ref}")
        return attempt
    ledger.update(attempt, state=sent.outcome)
    if sent.interrupted:
        raise KeyboardInterrupt("stopped; it was not sent" if sent.outcome == "not sent" else _UNKNOWN)
    if sent.outcome == "unknown":
        raise KaggleFailed("unconfirmed", f"{_UNKNOWN} The kaggle command said: {sent.message}")
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
