"""Every way in which Kaggle, or the command that talks to it, is known to fail: no false success, none sent twice.

The real `kaggle` command runs against a server on 127.0.0.1; nothing else can be reached.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from kaggle_server import (
    KEY,
    Answer,
    Kaggle,
    counted_then,
    error,
    first,
    hang,
    page,
    reply,
    reset,
    served,
)

from digit_recognizer import submission
from tenfold.cli import status
from tenfold.errors import BadInput
from tenfold.submit.submit import checked

PATIENT = ["--appear-s", "1", "--poll-s", "0.3"]
QUICK = [*PATIENT, "--upload-s", "8", "--call-s", "8", "--score-s", "4"]


@pytest.fixture
def kaggle() -> Iterator[Kaggle]:
    with served() as server:
        yield server


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder with a submission of the right length."""
    labels = np.random.default_rng(0).integers(0, 10, 28_000)
    (tmp_path / "submission.csv").write_bytes(submission.render(labels))
    return tmp_path


def submit(kaggle: Kaggle, home: Path, *more: str, **environment: str | None) -> subprocess.CompletedProcess[str]:
    return kaggle.tenfold("submit", "submission.csv", *QUICK, *more, cwd=home, **environment)


def ledger(home: Path) -> list[dict[str, object]]:
    text = (home / "submissions.json").read_text()
    assert KEY not in text
    table = json.loads(text)
    assert isinstance(table, list)
    return table


def normal(method: str) -> Answer:
    """The answer that the server gives when nothing is wrong."""
    return lambda kaggle, asked: getattr(kaggle, f"_{method.lower()}")(asked)


def test_the_way_to_a_score(kaggle: Kaggle, home: Path) -> None:
    metrics = {
        "source": "kaggle",
        "honest": True,
        "cross_validation": {"mean": 0.9951, "std": 0.0004},
        "judge": {"accuracy": 0.9964},
    }
    (home / "metrics.json").write_text(json.dumps(metrics))
    kaggle.pending = 2
    done = submit(kaggle, home)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines() == [
        "file: submission.csv (28,000 rows)",
        "cross-validation: 0.99510 ± 0.00040",
        "judge: 0.99640",
        "submissions left today: 5",
        "sending",
        "submitted: 100",
        "waiting for the score",
        "score: 0.99650, cross-validation 0.99510, judge 0.99640",
    ]
    assert kaggle.uploads == [(home / "submission.csv").read_bytes()]
    (sent,) = kaggle.submissions
    (stored,) = ledger(home)
    assert str(stored["id"]) in sent["description"] and "CV 0.99510" in sent["description"]
    assert (stored["state"], stored["ref"], stored["score"]) == ("submitted", "100", 0.9965)


def test_the_attempt_is_stored_before_anything_is_sent(kaggle: Kaggle, home: Path) -> None:
    seen: list[object] = []

    def look(kaggle: Kaggle, asked: dict[str, object]) -> tuple[int, dict[str, str], bytes]:
        seen.extend(entry["state"] for entry in ledger(home))
        return kaggle._startsubmissionupload(asked)

    kaggle.faults["StartSubmissionUpload"] = look
    assert submit(kaggle, home, "--no-wait").returncode == 0
    assert seen == ["sending"]


# What goes wrong, in which call; our exit code, a piece of our sentence, and how many submissions Kaggle counted.
ONE = "Successfully submitted"
FAILURES: dict[str, tuple[str, Answer, int, str, int]] = {
    "upload 400": ("PUT", error(400, "bad"), 1, "not sent", 0),
    "upload 403": ("PUT", error(403, "expired"), 1, "not sent", 0),
    "upload 503": ("PUT", error(503, "busy"), 1, "not sent", 0),
    "upload always reset": ("PUT", reset, 1, "not sent", 0),
    "upload hangs": ("PUT", hang, 1, "not sent", 0),
    "start refused": ("StartSubmissionUpload", error(403, "Permission was denied"), 1, "not sent", 0),
    "start 429": ("StartSubmissionUpload", error(429, "Too many requests"), 1, "not sent", 0),
    "start 500": ("StartSubmissionUpload", error(500, "oops"), 1, "not sent", 0),
    "start reset": ("StartSubmissionUpload", reset, 1, "not sent", 0),
    "start hangs": ("StartSubmissionUpload", hang, 1, "not sent", 0),
    "start is a page": ("StartSubmissionUpload", page, 1, "not sent", 0),
    "start 401": ("StartSubmissionUpload", error(401, "Unauthenticated"), 4, "credentials were refused", 0),
    "rules": (
        "StartSubmissionUpload",
        error(403, "You must accept this competition's rules before you'll be able to submit"),
        5,
        "https://www.kaggle.com/competitions/digit-recognizer/rules",
        0,
    ),
    "refusal with 200": ("CreateSubmission", lambda k, a: reply({"message": "Not today"}), 1, "Not today", 0),
    "nothing with 200": ("CreateSubmission", lambda k, a: reply({}), 1, "not sent", 0),
    "false success": ("CreateSubmission", lambda k, a: reply({"message": f"{ONE} to X", "ref": 7}), 3, "may or may", 0),
    "create 500": ("CreateSubmission", error(500, "oops"), 1, "not sent", 0),
    "create hangs": ("CreateSubmission", hang, 1, "not sent", 0),
    "limit at the end": (
        "CreateSubmission",
        error(400, "You have reached your daily limit of 5 submissions"),
        6,
        "daily limit",
        0,
    ),
    "reply lost": ("CreateSubmission", counted_then(reset), 0, "submitted: 100", 1),
    "reply late": ("CreateSubmission", counted_then(hang), 0, "submitted: 100", 1),
    "reply a page": ("CreateSubmission", counted_then(page), 0, "submitted: 100", 1),
    "reply 500": ("CreateSubmission", counted_then(error(500, "oops")), 0, "submitted: 100", 1),
    "upload 429 once": ("PUT", first(1, error(429, "slow down"), normal("PUT")), 1, "not sent", 0),
    "upload 429 with a time": (
        "PUT",
        first(1, lambda k, a: reply({}, 429, **{"Retry-After": "1"}), normal("PUT")),
        0,
        "submitted: 100",
        1,
    ),
    "limit with 200": (
        "CreateSubmission",
        lambda k, a: reply({"message": "You have reached your daily limit"}),
        6,
        "not sent",
        0,
    ),
    "upload reset twice": ("PUT", first(2, reset, normal("PUT")), 0, "submitted: 100", 1),
    "list 401": ("ListSubmissions", error(401, "Unauthenticated"), 4, "credentials were refused", 0),
    "list 500": ("ListSubmissions", error(500, "oops"), 1, "the list of submissions could not be had", 0),
    "list hangs": ("ListSubmissions", hang, 1, "no answer within", 0),
    "list a page": ("ListSubmissions", page, 1, "the list of submissions could not be had", 0),
    "list refused for the rules": (
        "ListSubmissions",
        error(403, "You must accept this competition's rules before you'll be able to download files."),
        5,
        "accept them on its web page",
        0,
    ),
    "limits unknown": ("GetSubmissionLimits", error(500, "oops"), 0, "submissions left today: 5", 1),
}


WAITING = {"upload hangs", "upload always reset", "start hangs", "list hangs", "reply late"}  # for a time limit
ALIKE = {
    "start 429",
    "start 500",
    "start reset",
    "create 500",
    "reply a page",
    "reply 500",
    "upload 403",
}  # to one that stays


@pytest.mark.parametrize(
    "case", [pytest.param(case, marks=pytest.mark.slow if case in WAITING | ALIKE else ()) for case in FAILURES]
)
def test_each_known_failure_is_told_as_what_it_is(kaggle: Kaggle, home: Path, case: str) -> None:
    method, fault, code, sentence, counted = FAILURES[case]
    kaggle.faults[method] = fault
    began = time.monotonic()
    done = submit(kaggle, home)
    assert done.returncode == code, done.stdout + done.stderr
    assert sentence in done.stdout + done.stderr
    assert len(kaggle.submissions) == counted
    assert ("submitted: 100" in done.stdout) == (counted == 1)
    assert (code == 0) == (done.stderr == "") and done.stderr.count("\n") <= 1
    assert time.monotonic() - began < 60
    assert not [name for name in kaggle.asked if name.startswith("CONNECT")]


def test_a_submission_that_nobody_could_confirm_is_found_by_the_next_attempt_and_not_repeated(
    kaggle: Kaggle, home: Path
) -> None:
    kaggle.faults["CreateSubmission"] = counted_then(reset)
    kaggle.faults["ListSubmissions"] = first(1, normal("ListSubmissions"), error(500, "oops"))
    done = submit(kaggle, home)
    assert done.returncode == 3 and "may or may not have been sent" in done.stderr
    assert [entry["state"] for entry in ledger(home)] == ["unknown"]
    kaggle.faults.clear()
    again = submit(kaggle, home)
    assert again.returncode == 0 and "nothing is sent again" in again.stdout and "score: 0.99650" in again.stdout
    assert len(kaggle.submissions) == 1
    assert [entry["state"] for entry in ledger(home)] == ["submitted"]


def test_an_attempt_that_a_kill_cut_off_is_looked_up_first(kaggle: Kaggle, home: Path) -> None:
    kaggle.faults["CreateSubmission"] = counted_then(hang)
    running = started(kaggle, home)
    until(lambda: len(kaggle.submissions) == 1)
    running.kill()
    running.communicate()
    kaggle.faults.clear()
    done = submit(kaggle, home)
    assert done.returncode == 0 and "nothing is sent again" in done.stdout
    assert len(kaggle.submissions) == 1


def test_a_file_that_was_sent_is_refused_unless_it_is_asked_for(kaggle: Kaggle, home: Path) -> None:
    assert submit(kaggle, home).returncode == 0
    refused = submit(kaggle, home)
    assert refused.returncode == 2 and "was sent already (submission 100" in refused.stderr
    (home / "submissions.json").unlink()  # as on another machine: Kaggle's own list knows it too
    assert submit(kaggle, home).returncode == 2
    assert len(kaggle.submissions) == 1
    again = submit(kaggle, home, "--again")
    assert again.returncode == 0 and "submitted: 101" in again.stdout
    first_id, second_id = (entry["description"] for entry in kaggle.submissions)
    assert first_id != second_id


@pytest.mark.parametrize("told", [True, False])
def test_nothing_is_sent_when_no_submission_is_left(kaggle: Kaggle, home: Path, told: bool) -> None:
    for _ in range(5):
        kaggle.take({"submissionDescription": "by hand"})
    if not told:
        kaggle.faults["GetSubmissionLimits"] = error(404, "an older Kaggle")
    done = submit(kaggle, home)
    assert done.returncode == 6 and "not sent: no submission is left today" in done.stderr
    assert kaggle.uploads == [] and not (home / "submissions.json").exists()


def test_an_account_on_no_team_yet_may_submit(kaggle: Kaggle, home: Path) -> None:
    kaggle.faults["GetSubmissionLimits"] = lambda kaggle, asked: reply({})
    done = submit(kaggle, home, "--no-wait")
    assert done.returncode == 0 and "submissions left today: 5" in done.stdout


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "line 1"),
        (b"ImageId,Label\n", "holds a header but no rows"),
        (submission.render(np.zeros(360, np.int64)), "has 360 rows where the competition takes 28,000"),
        (submission.render(np.zeros(10_000, np.int64)), "has 10,000 rows where the competition takes 28,000"),
        (submission.render(np.zeros(28_000, np.int64)).replace(b"\n77,0", b"\n77,x"), "line 78"),
    ],
)
def test_a_file_that_is_no_submission_is_refused_before_anything_is_asked(
    kaggle: Kaggle, tmp_path: Path, content: bytes, sentence: str
) -> None:
    (tmp_path / "submission.csv").write_bytes(content)
    done = submit(kaggle, tmp_path)
    assert done.returncode == 2 and sentence in done.stderr
    assert kaggle.asked == []


def test_without_a_name_the_newest_of_kaggles_runs_is_taken(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home)
    with pytest.raises(BadInput, match="no finished run on Kaggle's files"):
        checked(None)
    for age, (name, source) in enumerate((("sample", "sample"), ("blend", "kaggle"), ("older", "kaggle"))):
        file = home / "runs" / name / "submission.csv"
        file.parent.mkdir(parents=True)
        file.write_bytes((home / "submission.csv").read_bytes())
        (file.parent / "metrics.json").write_text(json.dumps({"source": source}))
        os.utime(file, (10**9 - age, 10**9 - age))
    assert checked(None).file == Path("runs/blend/submission.csv")


def test_missing_credentials_are_said_with_the_place_to_get_them(kaggle: Kaggle, home: Path) -> None:
    done = submit(kaggle, home, KAGGLE_USERNAME=None, KAGGLE_KEY=None)
    assert done.returncode == 4
    assert "Kaggle credentials were not found; make a token at https://www.kaggle.com/settings" in done.stderr


def test_a_score_that_does_not_come_is_no_failure_and_is_shown_later(kaggle: Kaggle, home: Path) -> None:
    kaggle.pending = 1000
    done = submit(kaggle, home)
    assert done.returncode == 0 and "no score within 4 s" in done.stdout
    kaggle.pending = 0
    run = home / "runs" / "mine"
    run.mkdir(parents=True)
    (home / "submissions.json").rename(run / "submissions.json")
    listed = kaggle.tenfold("submissions", cwd=home)
    assert listed.returncode == 0, listed.stderr
    header, row = (line.split() for line in listed.stdout.splitlines())
    assert header == ["date", "submission", "run", "CV", "judge", "score", "status"]
    assert row[2:] == ["100", "mine", "-", "-", "0.99650", "COMPLETE"]  # after day and hour
    assert [entry["score"] for entry in ledger(run)] == [0.9965]


def test_a_submission_that_kaggle_could_not_score_is_said(kaggle: Kaggle, home: Path) -> None:
    kaggle.faults["ListSubmissions"] = lambda kaggle, asked: reply(
        {"submissions": [entry | {"status": "ERROR", "publicScore": ""} for entry in kaggle.submissions]}
    )
    done = submit(kaggle, home)
    assert done.returncode == 1 and "submitted as 100, but Kaggle gave it no score (status ERROR)" in done.stderr


def test_an_empty_list_is_an_empty_table(kaggle: Kaggle, tmp_path: Path) -> None:
    done = kaggle.tenfold("submissions", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "no submissions yet\n")


def started(kaggle: Kaggle, home: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tenfold.cli", "submit", "submission.csv", *PATIENT],
        cwd=home,
        env=kaggle.environment(home),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def until(condition: object) -> None:
    deadline = time.monotonic() + 60
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("method", "fault", "sentence", "counted"),
    [
        ("PUT", hang, "stopped; it was not sent", 0),
        ("CreateSubmission", counted_then(hang), "stopped; it was submitted as 100", 1),
    ],
)
def test_ctrl_c_says_whether_it_was_sent(
    kaggle: Kaggle, home: Path, method: str, fault: Answer, sentence: str, counted: int
) -> None:
    kaggle.faults[method] = fault
    running = started(kaggle, home)
    until(lambda: method in kaggle.asked and len(kaggle.submissions) == counted)
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=60)
    assert running.returncode == 130
    assert said == f"tenfold: {sentence}\n"
    assert len(kaggle.submissions) == counted


def test_ctrl_c_while_waiting_for_the_score_says_that_it_was_submitted(kaggle: Kaggle, home: Path) -> None:
    kaggle.pending = 10_000
    running = started(kaggle, home)
    assert running.stdout
    for line in running.stdout:
        if line.startswith("waiting"):
            break
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=60)
    assert running.returncode == 130 and said == "tenfold: stopped waiting; it was submitted as 100\n"


def test_two_at_once_from_one_folder_send_once(kaggle: Kaggle, home: Path) -> None:
    kaggle.faults["PUT"] = first(1, hang, normal("PUT"))
    running = started(kaggle, home)
    until(lambda: "PUT" in kaggle.asked)
    second = submit(kaggle, home)
    assert second.returncode == 2 and "another `tenfold submit` is at work there" in second.stderr
    kaggle.over.set()
    running.communicate(timeout=90)
    assert len(kaggle.submissions) <= 1


@pytest.mark.parametrize("content", ["[1, 2]", "{", '{"cross_validation": [1], "judge": {"accuracy": "high"}}', "null"])
def test_a_damaged_metrics_file_costs_the_expectations_and_no_more(kaggle: Kaggle, home: Path, content: str) -> None:
    (home / "metrics.json").write_text(content)
    done = submit(kaggle, home, "--no-wait")
    assert done.returncode == 0 and "cross-validation" not in done.stdout, done.stderr


@pytest.mark.parametrize("content", ["{", "null", "[1]", '[{"id": "x"}]'])
def test_a_damaged_record_of_attempts_stops_before_anything_is_sent(kaggle: Kaggle, home: Path, content: str) -> None:
    (home / "submissions.json").write_text(content)
    done = submit(kaggle, home)
    assert done.returncode == 2 and "submissions.json: can't be read" in done.stderr and done.stderr.count("\n") == 1
    assert kaggle.submissions == [] and (home / "submissions.json").read_text() == content


@pytest.mark.parametrize("option", ["--upload-s", "--call-s", "--poll-s"])
@pytest.mark.parametrize("value", ["-1", "0", "nan", "inf"])
def test_a_limit_that_is_none_is_refused(option: str, value: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert status(["submit", "submission.csv", option, value]) == 2
    assert f"{option}: is {value} where a number of seconds above 0 belongs" in capsys.readouterr().err
