"""Known failures of Kaggle and of its command: `submit` never reports a false success and never sends a file twice.

The real `kaggle` command runs against a server on 127.0.0.1; nothing else can be reached.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kaggle_server import (
    HANG_S,
    KEY,
    Answer,
    Kaggle,
    Reply,
    accept_then,
    error,
    first,
    hang,
    normal,
    reply,
    reset,
    web_page,
)

from digit_recognizer import submission
from tenfold.cli import status
from tenfold.errors import BadInput
from tenfold.submit.candidate import find_candidate
from tenfold.submit.ledger import LEDGER, Ledger

# Only a hang takes as long as HANG_S. The list is read once after sending, since the server updates it at once.
OPTIONS = {"--upload-s": HANG_S, "--call-s": HANG_S, "--score-s": HANG_S, "--appear-s": 0.1, "--poll-s": 0.1}
Done = subprocess.CompletedProcess[str]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder with a submission of the right length."""
    labels = np.random.default_rng(0).integers(0, 10, 28_000)
    (tmp_path / "submission.csv").write_bytes(submission.render(labels))
    return tmp_path


def options(changes: dict[str, float]) -> list[str]:
    return [str(part) for option in (OPTIONS | changes).items() for part in option]


def submit(kaggle: Kaggle, home: Path, *more: str, limits: dict[str, float] | None = None, **env: str | None) -> Done:
    return kaggle.call("submit", "submission.csv", *options(limits or {}), *more, cwd=home, **env)


def stored_attempts(home: Path) -> list[dict[str, object]]:
    text = (home / "submissions.json").read_text()
    assert KEY not in text
    table = json.loads(text)
    assert isinstance(table, list)
    return table


def test_a_submission_is_sent_listed_and_scored(kaggle: Kaggle, home: Path) -> None:
    metrics = {
        "source": "kaggle",
        "honest": True,
        "cross_validation": {"mean": 0.9951, "std": 0.0004},
        "judge": {"accuracy": 0.9964},
    }
    (home / "metrics.json").write_text(json.dumps(metrics))
    kaggle.pending = 2
    done = kaggle.tenfold("submit", "submission.csv", *options({}), cwd=home)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines() == [
        "file: submission.csv (28,000 rows)",
        "cross-validation: 0.99510 ± 0.00040",
        "offline test score: 0.99640",
        "submissions left today: 5",
        "sending",
        "submitted: 100",
        "waiting for the score",
        "score: 0.99650, cross-validation 0.99510, offline test score 0.99640",
    ]
    assert kaggle.uploads == [(home / "submission.csv").read_bytes()]
    (sent,) = kaggle.submissions
    (attempt,) = stored_attempts(home)
    assert str(attempt["id"]) in sent["description"] and "CV 0.99510" in sent["description"]
    assert (attempt["state"], attempt["ref"], attempt["score"]) == ("confirmed", "100", 0.9965)


def test_an_attempt_is_stored_before_anything_is_sent(kaggle: Kaggle, home: Path) -> None:
    states: list[object] = []

    def look(kaggle: Kaggle, request: dict[str, Any]) -> Reply:
        states.extend(attempt["state"] for attempt in stored_attempts(home))
        return kaggle.normal("StartSubmissionUpload", request)

    kaggle.faults["StartSubmissionUpload"] = look
    assert submit(kaggle, home, "--no-wait").returncode == 0
    assert states == ["handed over"]


def test_a_submission_that_appears_late_is_found(kaggle: Kaggle, home: Path) -> None:
    not_yet: Answer = lambda kaggle, request: reply({"submissions": []})  # noqa: E731
    kaggle.faults["ListSubmissions"] = first(2, not_yet, normal("ListSubmissions"))
    done = submit(kaggle, home, "--no-wait", limits={"--appear-s": HANG_S})
    assert done.returncode == 0 and "submitted: 100" in done.stdout


@dataclass(frozen=True)
class Failure:
    """A fault in one call, and how `submit` must end."""

    method: str
    fault: Answer
    code: int
    message: str
    accepted: int = 0  # submissions that Kaggle counts
    limits: dict[str, float] | None = None
    slow: bool = False  # waits for a time limit, or resembles a case that is not slow


def answer(body: Any, code: int = 200, **headers: str) -> Answer:
    return lambda kaggle, request: reply(body, code, **headers)


RULES = "You must accept this competition's rules before you'll be able to "
UNKNOWN = "it may or may not have been sent"
UPLOAD, CALL = {"--upload-s": 2.0}, {"--call-s": 2.0}
FAILURES = {
    "upload 400": Failure("PUT", error(400, "bad"), 1, "not sent"),
    "upload 403": Failure("PUT", error(403, "expired"), 1, "not sent", slow=True),
    "upload 503": Failure("PUT", error(503, "busy"), 1, "not sent", slow=True),
    "upload always reset": Failure("PUT", reset, 3, UNKNOWN, limits=UPLOAD, slow=True),
    "upload hangs": Failure("PUT", hang, 3, UNKNOWN, limits=UPLOAD, slow=True),
    "start refused": Failure("StartSubmissionUpload", error(403, "Permission was denied"), 1, "not sent"),
    "start 429": Failure("StartSubmissionUpload", error(429, "Too many requests"), 1, "not sent", slow=True),
    "start 500": Failure("StartSubmissionUpload", error(500, "oops"), 3, UNKNOWN, slow=True),
    "start reset": Failure("StartSubmissionUpload", reset, 1, "not sent", slow=True),
    "start hangs": Failure("StartSubmissionUpload", hang, 3, UNKNOWN, limits=UPLOAD, slow=True),
    "start is a web page": Failure("StartSubmissionUpload", web_page, 3, UNKNOWN, slow=True),
    "start 401": Failure("StartSubmissionUpload", error(401, "Unauthenticated"), 4, "credentials were refused"),
    "rules": Failure("StartSubmissionUpload", error(403, RULES + "submit"), 5, "kaggle.com/competitions/digit-recog"),
    "refusal with 200": Failure("CreateSubmission", answer({"message": "Not today"}), 1, "Not today"),
    "nothing with 200": Failure("CreateSubmission", answer({}), 3, UNKNOWN, slow=True),
    "false success": Failure(
        "CreateSubmission", answer({"message": "Successfully submitted to X", "ref": 7}), 3, "may or may not"
    ),
    "create 500": Failure("CreateSubmission", error(500, "oops"), 3, UNKNOWN, slow=True),
    "create hangs": Failure("CreateSubmission", hang, 3, UNKNOWN, limits=UPLOAD),
    "limit at the end": Failure(
        "CreateSubmission", error(400, "You have reached your daily limit of 5 submissions"), 6, "daily limit"
    ),
    "allowance used up": Failure(
        "CreateSubmission", error(400, "Your team has used its submission allowance (5 of 5)."), 6, "allowance"
    ),
    "limit with 200": Failure(
        "CreateSubmission", answer({"message": "You have reached your daily limit"}), 6, "not sent"
    ),
    "reply lost": Failure("CreateSubmission", accept_then(reset), 0, "submitted: 100", 1),
    "reply late": Failure(
        "CreateSubmission", accept_then(hang), 0, "submitted: 100", 1, limits={"--upload-s": 20.0}, slow=True
    ),
    "reply is a web page": Failure("CreateSubmission", accept_then(web_page), 0, "submitted: 100", 1, slow=True),
    "reply 500": Failure("CreateSubmission", accept_then(error(500, "oops")), 0, "submitted: 100", 1, slow=True),
    "upload 429 once": Failure("PUT", first(1, error(429, "slow down"), normal("PUT")), 1, "not sent", slow=True),
    "upload 429 with a time": Failure(
        "PUT", first(1, answer({}, 429, **{"Retry-After": "1"}), normal("PUT")), 0, "submitted: 100", 1
    ),
    "upload reset twice": Failure("PUT", first(2, reset, normal("PUT")), 0, "submitted: 100", 1),
    "list 401": Failure("ListSubmissions", error(401, "Unauthenticated"), 4, "credentials were refused"),
    "list 500": Failure("ListSubmissions", error(500, "oops"), 1, "the submissions could not be listed"),
    "list hangs": Failure("ListSubmissions", hang, 1, "no answer within 2 s", limits=CALL, slow=True),
    "list is a web page": Failure("ListSubmissions", web_page, 1, "the submissions could not be listed", slow=True),
    "list refused for the rules": Failure(
        "ListSubmissions", error(403, RULES + "download files."), 5, "accept them on its web page"
    ),
    "limits unknown": Failure("GetSubmissionLimits", error(500, "oops"), 0, "left today: 5", 1, slow=True),
}


CASES = [pytest.param(case, marks=pytest.mark.slow if FAILURES[case].slow else ()) for case in FAILURES]


@pytest.mark.parametrize("case", CASES)
def test_a_failure_is_reported_as_what_it_is(kaggle: Kaggle, home: Path, case: str) -> None:
    failure = FAILURES[case]
    kaggle.faults[failure.method] = failure.fault
    done = submit(kaggle, home, "--no-wait", limits=failure.limits)
    assert done.returncode == failure.code, done.stdout + done.stderr
    assert failure.message in done.stdout + done.stderr
    assert len(kaggle.submissions) == failure.accepted
    assert ("submitted: 100" in done.stdout) == (failure.accepted == 1)
    assert (failure.code == 0) == (done.stderr == "") and done.stderr.count("\n") <= 1
    assert not [name for name in kaggle.requests if name.startswith("CONNECT")]


def test_an_unconfirmed_submission_is_found_by_the_next_try(kaggle: Kaggle, home: Path) -> None:
    kaggle.faults["CreateSubmission"] = accept_then(reset)
    kaggle.faults["ListSubmissions"] = first(1, normal("ListSubmissions"), error(500, "oops"))
    done = submit(kaggle, home)
    assert done.returncode == 3 and "may or may not have been sent" in done.stderr
    assert [attempt["state"] for attempt in stored_attempts(home)] == ["unknown"]
    kaggle.faults.clear()
    again = submit(kaggle, home)
    assert again.returncode == 0 and "not sent again" in again.stdout and "score: 0.99650" in again.stdout
    assert len(kaggle.submissions) == 1
    assert [attempt["state"] for attempt in stored_attempts(home)] == ["confirmed"]


def start(kaggle: Kaggle, home: Path) -> subprocess.Popen[str]:
    """`tenfold submit` in a process of its own, to be interrupted."""
    return subprocess.Popen(
        [sys.executable, "-m", "tenfold", "submit", "submission.csv", *options({})],
        cwd=home,
        env=kaggle.environment(home),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + HANG_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_killed_attempt_is_looked_up_first(kaggle: Kaggle, home: Path) -> None:
    kaggle.faults["CreateSubmission"] = accept_then(hang)
    process = start(kaggle, home)
    wait_until(lambda: len(kaggle.submissions) == 1)
    process.kill()
    process.communicate()
    kaggle.faults.clear()
    done = submit(kaggle, home)
    assert done.returncode == 0 and "not sent again" in done.stdout
    assert len(kaggle.submissions) == 1


def test_a_sent_file_is_refused_without_again(kaggle: Kaggle, home: Path) -> None:
    assert submit(kaggle, home).returncode == 0
    refused = submit(kaggle, home, "--no-wait")
    assert refused.returncode == 2 and "was sent already (submission 100" in refused.stderr
    (home / "submissions.json").unlink()  # as on another machine: Kaggle's own list shows it too
    assert submit(kaggle, home).returncode == 2
    assert len(kaggle.submissions) == 1
    again = submit(kaggle, home, "--again", "--no-wait")
    assert again.returncode == 0 and "submitted: 101" in again.stdout
    first_id, second_id = (entry["description"] for entry in kaggle.submissions)
    assert first_id != second_id


@pytest.mark.parametrize("counted_by", ["Kaggle", "the list"])
def test_nothing_is_sent_when_none_is_left_today(kaggle: Kaggle, home: Path, counted_by: str) -> None:
    for _ in range(5):
        kaggle.accept({"submissionDescription": "by hand"})
    if counted_by == "the list":
        kaggle.faults["GetSubmissionLimits"] = error(404, "an older Kaggle")
    done = submit(kaggle, home)
    assert done.returncode == 6 and "not sent: no submission is left today" in done.stderr
    assert kaggle.uploads == [] and not (home / "submissions.json").exists()


def test_an_account_without_a_team_may_submit(kaggle: Kaggle, home: Path) -> None:
    kaggle.faults["GetSubmissionLimits"] = answer({})
    done = submit(kaggle, home, "--no-wait")
    assert done.returncode == 0 and "submissions left today: 5" in done.stdout


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"ImageId,Label\n", "has a header but no rows"),
        (submission.render(np.zeros(360, np.int64)), "must have 28,000 rows, got 360"),
        (submission.render(np.zeros(10_000, np.int64)), "must have 28,000 rows, got 10,000"),
        (submission.render(np.zeros(28_000, np.int64)).replace(b"\n77,0", b"\n77,x"), "line 78"),
    ],
    ids=["empty", "header only", "360 rows", "10,000 rows", "a wrong label"],
)
def test_no_valid_submission_means_no_request(kaggle: Kaggle, tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "submission.csv").write_bytes(content)
    done = submit(kaggle, tmp_path)
    assert done.returncode == 2 and message in done.stderr
    assert kaggle.requests == []


def test_the_newest_run_on_kaggles_files_is_the_default(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home)
    with pytest.raises(BadInput, match="no finished run on Kaggle's files"):
        find_candidate(None)
    for age, (name, source) in enumerate((("sample", "sample"), ("blend", "kaggle"), ("older", "kaggle"))):
        file = home / "runs" / name / "submission.csv"
        file.parent.mkdir(parents=True)
        file.write_bytes((home / "submission.csv").read_bytes())
        (file.parent / "metrics.json").write_text(json.dumps({"source": source}))
        os.utime(file, (10**9 - age, 10**9 - age))
    assert find_candidate(None).file == Path("runs/blend/submission.csv")


def test_missing_credentials_are_reported(kaggle: Kaggle, home: Path) -> None:
    done = submit(kaggle, home, KAGGLE_USERNAME=None, KAGGLE_KEY=None)
    assert done.returncode == 4
    assert "Kaggle credentials were not found; make a token at https://www.kaggle.com/settings" in done.stderr


def test_a_late_score_is_no_failure_and_is_shown_later(kaggle: Kaggle, home: Path) -> None:
    kaggle.pending = 1000
    done = submit(kaggle, home, limits={"--score-s": 0.2})
    assert done.returncode == 0 and "no score within 0.2 s" in done.stdout
    kaggle.pending = 0
    run = home / "runs" / "mine"
    run.mkdir(parents=True)
    (home / "submissions.json").rename(run / "submissions.json")
    listed = kaggle.call("submissions", cwd=home)
    assert listed.returncode == 0, listed.stderr
    header, _, row = (line.replace("|", " ").split() for line in listed.stdout.splitlines())
    assert header == ["date", "submission", "run", "CV", "offline", "score", "status"]
    assert row[2:] == ["100", "mine", "-", "-", "0.99650", "COMPLETE"]  # after day and hour
    assert [attempt["score"] for attempt in stored_attempts(run)] == [0.9965]


def test_a_submission_without_a_score_is_reported(kaggle: Kaggle, home: Path) -> None:
    kaggle.faults["ListSubmissions"] = lambda kaggle, request: reply(
        {"submissions": [entry | {"status": "ERROR", "publicScore": ""} for entry in kaggle.submissions]}
    )
    done = submit(kaggle, home)
    assert done.returncode == 1 and "submitted as 100, but Kaggle gave it no score (status ERROR)" in done.stderr


def test_no_submissions_give_one_line(kaggle: Kaggle, tmp_path: Path) -> None:
    done = kaggle.call("submissions", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "no submissions yet\n")


@pytest.mark.parametrize(
    ("method", "fault", "message", "accepted"),
    [
        ("PUT", hang, UNKNOWN, 0),
        ("CreateSubmission", accept_then(hang), "stopped; it was submitted as 100", 1),
    ],
    ids=["before", "after"],
)
def test_ctrl_c_says_whether_it_was_sent(
    kaggle: Kaggle, home: Path, method: str, fault: Answer, message: str, accepted: int
) -> None:
    kaggle.faults[method] = fault
    process = start(kaggle, home)
    wait_until(lambda: method in kaggle.requests and len(kaggle.submissions) == accepted)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=HANG_S)
    assert process.returncode == 130
    assert stderr.startswith(f"tenfold: {message}") and stderr.count("\n") == 1
    assert len(kaggle.submissions) == accepted


def test_ctrl_c_while_waiting_says_it_was_submitted(kaggle: Kaggle, home: Path) -> None:
    kaggle.pending = 10_000
    process = start(kaggle, home)
    assert process.stdout
    for line in process.stdout:
        if line.startswith("waiting"):
            break
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=HANG_S)
    assert process.returncode == 130 and stderr == "tenfold: stopped waiting; it was submitted as 100\n"


def test_two_processes_in_one_folder_send_once(kaggle: Kaggle, home: Path) -> None:
    kaggle.faults["PUT"] = first(1, hang, normal("PUT"))
    process = start(kaggle, home)
    wait_until(lambda: "PUT" in kaggle.requests)
    second = submit(kaggle, home)
    assert second.returncode == 2 and "another `tenfold submit` is sending the same content" in second.stderr
    kaggle.over.set()
    process.communicate(timeout=HANG_S)
    assert len(kaggle.submissions) <= 1


@pytest.mark.parametrize("content", ["[1, 2]", "{", '{"cross_validation": [1], "judge": {"accuracy": "high"}}', "null"])
def test_damaged_metrics_do_not_stop_a_submission(home: Path, content: str) -> None:
    (home / "metrics.json").write_text(content)
    candidate = find_candidate(home / "submission.csv")
    assert (candidate.cv, candidate.judge, candidate.honest) == (None, None, True)


@pytest.mark.parametrize("content", ["{", "null", "[1]", '[{"id": "x"}]'])
def test_damaged_records_of_attempts_are_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / LEDGER).write_text(content)
    with pytest.raises(BadInput, match=r"submissions\.json: cannot be read .* so nothing was sent"):
        Ledger(tmp_path / LEDGER).attempts()


def test_damaged_records_stop_a_submission(kaggle: Kaggle, home: Path) -> None:
    (home / LEDGER).write_text("{")
    done = submit(kaggle, home)
    assert done.returncode == 2 and "submissions.json: cannot be read" in done.stderr and done.stderr.count("\n") == 1
    assert kaggle.submissions == [] and (home / LEDGER).read_text() == "{"


@pytest.mark.parametrize("option", ["--upload-s", "--call-s", "--poll-s"])
@pytest.mark.parametrize("value", ["-1", "0", "nan", "inf"])
def test_a_wrong_time_limit_is_refused(option: str, value: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert status(["submit", "submission.csv", option, value]) == 2
    assert f"{option}: must be a number of seconds > 0, got {value}" in capsys.readouterr().err
