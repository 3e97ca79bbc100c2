"""One content is sent once, whatever is killed, late, slow, or in two folders; and what is printed is true.

The real `kaggle` command runs against a server on 127.0.0.1.
"""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import wait_until
from kaggle_server import HANG_S, Answer, Kaggle, Reply, error, first, hang, normal, reply

from digit_recognizer import client, submission
from tenfold.submit.attempt import Attempt
from tenfold.submit.ledger import LEDGER, Ledger

LIMITS = ["--call-s", HANG_S, "--score-s", HANG_S, "--appear-s", 0.1, "--poll-s", 0.1]
Done = subprocess.CompletedProcess[str]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home folder with the same submission in two folders, `a` and `b`."""
    labels = np.random.default_rng(0).integers(0, 10, 28_000)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "submission.csv").write_bytes(submission.render(labels))
    return tmp_path


def submit(kaggle: Kaggle, home: Path, *more: str, folder: str = "a", upload_s: float = HANG_S, **env: str) -> Done:
    arguments = ["--upload-s", upload_s, *LIMITS, "--no-wait", *more]
    return kaggle.call("submit", f"{folder}/submission.csv", *map(str, arguments), cwd=home, **env)


def start(kaggle: Kaggle, home: Path) -> subprocess.Popen[str]:
    """`tenfold submit a/submission.csv` in a process of its own, to be killed."""
    arguments = ["submit", "a/submission.csv", "--upload-s", HANG_S, *LIMITS, "--no-wait"]
    return subprocess.Popen(
        [sys.executable, "-m", "tenfold", *map(str, arguments)],
        cwd=home,
        env=kaggle.environment(home),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def states(home: Path, folder: str = "a") -> list[str]:
    return [record["state"] for record in json.loads((home / folder / LEDGER).read_text())]


def assert_nothing_more_is_sent(kaggle: Kaggle, home: Path, folder: str = "a") -> None:
    """`tenfold submit` says that the earlier attempt may have arrived, and starts no upload."""
    before = list(kaggle.requests)
    done = submit(kaggle, home, folder=folder)
    assert done.returncode == 3, done.stdout + done.stderr
    assert "nothing was sent now" in done.stderr and "--again" in done.stderr and done.stderr.count("\n") == 1
    assert set(kaggle.requests[len(before) :]) == {"ListSubmissions"}


def empty_list(kaggle: Kaggle, request: dict[str, Any]) -> Reply:
    return reply({"submissions": []})


def test_a_list_that_lags_causes_no_second_submission(kaggle: Kaggle, home: Path) -> None:
    kaggle.faults["ListSubmissions"] = empty_list
    done = submit(kaggle, home)
    assert done.returncode == 3 and "may or may not have been sent" in done.stderr
    assert "Successfully submitted" in done.stderr and states(home) == ["unknown"]
    assert_nothing_more_is_sent(kaggle, home)
    kaggle.faults.clear()
    found = submit(kaggle, home)
    assert found.returncode == 0 and "already sent as 100" in found.stdout
    assert states(home) == ["confirmed"] and len(kaggle.submissions) == 1


def test_a_confirmed_submission_that_is_no_longer_listed_is_not_sent_again(kaggle: Kaggle, home: Path) -> None:
    assert submit(kaggle, home).returncode == 0
    kaggle.submissions[0]["publicScore"] = "0.9"
    assert submit(kaggle, home).returncode == 2  # with the score
    kaggle.faults["ListSubmissions"] = empty_list
    done = submit(kaggle, home, folder="b")
    assert done.returncode == 2 and "was sent already (submission 100 of" in done.stderr
    assert len(kaggle.submissions) == 1


def kaggle_processes(home: Path) -> list[Path]:
    """The processes that are sending a file of ours."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
            if b"-m" in words and b"submit" in words and (process / "cwd").readlink() == home:
                found += [process] if b"tenfold.cli" not in words else []
        except OSError:  # it has ended
            pass
    return found


SIGNALS = [signal.SIGKILL, pytest.param(signal.SIGHUP, marks=pytest.mark.slow)]


@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
@pytest.mark.parametrize("signal_", SIGNALS)
def test_the_command_ends_with_a_killed_parent(kaggle: Kaggle, home: Path, signal_: signal.Signals) -> None:
    kaggle.faults["PUT"] = hang
    process = start(kaggle, home)
    wait_until(lambda: "PUT" in kaggle.requests)
    assert kaggle_processes(home)
    process.send_signal(signal_)
    process.communicate(timeout=HANG_S)
    wait_until(lambda: not kaggle_processes(home))
    assert states(home) == ["handed over"]
    kaggle.faults.clear()
    assert_nothing_more_is_sent(kaggle, home, folder="b")
    assert kaggle.submissions == []


def test_again_sends_what_may_have_arrived(kaggle: Kaggle, home: Path) -> None:
    (home / "a" / LEDGER).write_text(json.dumps([earlier_record(home, state="unknown")]))
    done = submit(kaggle, home, "--again")
    assert done.returncode == 0 and "submitted: 100" in done.stdout
    assert states(home) == ["unknown", "confirmed"]


def accept_later(go: Path) -> Answer:
    """Accept the submission once the file `go` exists, although nobody waits for the reply."""

    def answer(kaggle: Kaggle, request: dict[str, Any]) -> Reply:
        wait_until(go.exists)
        return kaggle.normal("CreateSubmission", request)

    return answer


def test_a_server_slower_than_the_limits_is_not_called_not_sent(kaggle: Kaggle, home: Path) -> None:
    kaggle.faults["CreateSubmission"] = accept_later(home / "go")
    done = submit(kaggle, home, upload_s=2.0)
    assert done.returncode == 3 and "may or may not have been sent" in done.stderr and "within 2 s" in done.stderr
    (home / "go").touch()
    wait_until(lambda: len(kaggle.submissions) == 1)
    assert "already sent as 100" in submit(kaggle, home).stdout
    assert len(kaggle.submissions) == 1


def test_a_stop_while_kaggle_works_is_not_called_not_sent(kaggle: Kaggle, home: Path) -> None:
    kaggle.faults["CreateSubmission"] = accept_later(home / "go")
    process = start(kaggle, home)
    wait_until(lambda: "CreateSubmission" in kaggle.requests)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=HANG_S)
    assert process.returncode == 130 and "may or may not have been sent" in stderr
    (home / "go").touch()
    wait_until(lambda: len(kaggle.submissions) == 1)
    assert "already sent as 100" in submit(kaggle, home, folder="b").stdout
    assert len(kaggle.submissions) == 1


def test_the_same_file_in_two_folders_is_sent_once(kaggle: Kaggle, home: Path) -> None:
    kaggle.faults["PUT"] = first(1, hang, normal("PUT"))
    process = start(kaggle, home)
    wait_until(lambda: "PUT" in kaggle.requests)
    second = submit(kaggle, home, folder="b")
    assert second.returncode == 2 and "another `tenfold submit` is sending the same content" in second.stderr
    kaggle.over.set()
    process.communicate(timeout=HANG_S)
    assert len(kaggle.submissions) <= 1


def test_a_refusal_is_recorded_as_one(kaggle: Kaggle, home: Path) -> None:
    kaggle.faults["CreateSubmission"] = error(400, "Your team has used its daily submission allowance (5 of 5)")
    done = submit(kaggle, home)
    assert done.returncode == 6 and "not sent" in done.stderr and states(home) == ["refused"]


def introspected(kaggle: Kaggle, request: dict[str, Any]) -> Reply:
    return reply({"active": True, "username": "someone"})


def test_an_attempt_of_an_account_without_a_name_counts_for_all(kaggle: Kaggle, home: Path) -> None:
    """With a token, the command asks Kaggle for the account's name, which may fail while all else works."""
    names = iter((introspected, *[error(500, "oops")] * 2))  # for the list, and for the name, tried twice
    kaggle.faults["IntrospectToken"] = lambda kaggle, request: next(names, introspected)(kaggle, request)
    kaggle.faults["CreateSubmission"] = error(500, "oops")
    done = submit(kaggle, home, KAGGLE_API_TOKEN="token-0123456789")
    assert done.returncode == 3, done.stdout + done.stderr
    (record,) = json.loads((home / "a" / LEDGER).read_text())
    assert record["account"] is None
    kaggle.faults.clear()
    assert_nothing_more_is_sent(kaggle, home, folder="b")


def test_another_account_may_send_the_same_file(kaggle: Kaggle, home: Path) -> None:
    (home / "a" / LEDGER).write_text(json.dumps([earlier_record(home, state="unknown", account="someone")]))
    assert submit(kaggle, home, KAGGLE_USERNAME="else").returncode == 0
    assert len(kaggle.submissions) == 1


def earlier_record(home: Path, **changes: str) -> dict[str, Any]:
    """A record as it was written before the states had their present names."""
    record = {"id": "tenfold-x-1", "file": "submission.csv", "started": "2026-01-01T00:00:00+00:00", "state": "sending"}
    return (
        record
        | {"file_sha256": client.file_sha256(home / "a" / "submission.csv"), "ref": None, "status": None, "score": None}
        | changes
    )


@pytest.mark.parametrize(
    ("state", "code", "message"),
    [
        ("sending", 3, "nothing was sent now"),
        ("unknown", 3, "nothing was sent now"),
        ("submitted", 2, "was sent already (submission 7"),
        ("not sent", 0, "submitted: 100"),
    ],
)
def test_an_earlier_versions_records_are_understood(
    kaggle: Kaggle, home: Path, state: str, code: int, message: str
) -> None:
    record = earlier_record(home, state=state) | ({"ref": "7", "score": 0.9} if state == "submitted" else {})
    (home / "a" / LEDGER).write_text(json.dumps([record]))
    done = submit(kaggle, home)
    assert done.returncode == code and message in done.stdout + done.stderr
    assert len(kaggle.submissions) == (code == 0)


def test_a_record_of_an_unknown_state_is_refused(kaggle: Kaggle, home: Path) -> None:
    (home / "a" / LEDGER).write_text(json.dumps([earlier_record(home, state="lost")]))
    done = submit(kaggle, home)
    assert done.returncode == 2 and "unknown state 'lost'" in done.stderr
    assert "StartSubmissionUpload" not in kaggle.requests


def test_two_records_of_one_attempt_are_read_as_the_newer(tmp_path: Path) -> None:
    attempt = Attempt("tenfold-x-1", "submission.csv", "x", "2026-01-01T00:00:00+00:00")
    ledger = Ledger(tmp_path / LEDGER, tmp_path / "by_content.json")
    ledger.add(attempt)
    shutil.copy(ledger.path, tmp_path / "prepared.json")
    ledger.update(attempt, state="handed over")
    shutil.copy(tmp_path / "prepared.json", ledger.path)  # killed before it was written
    assert [entry.state for entry in ledger.attempts()] == ["handed over"]
