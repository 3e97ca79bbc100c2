"""A download is kept only if it is complete, and `run` asks a person before it downloads."""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from kaggle_server import (
    HANG_S,
    KEY,
    Answer,
    Kaggle,
    blank_rows,
    error,
    hang,
    reset,
    web_page,
    whole_archive,
    zip_of,
)

from digit_recognizer.command import Result
from digit_recognizer.failures import failure


@pytest.fixture(scope="module")
def whole() -> bytes:
    return whole_archive()


def test_the_zip_arrives(kaggle: Kaggle, tmp_path: Path, whole: bytes) -> None:
    kaggle.archive = whole
    done = kaggle.tenfold("download", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("downloaded data/digit-recognizer.zip\nnext: tenfold run --source kaggle --data data")
    assert (tmp_path / "data" / "digit-recognizer.zip").read_bytes() == whole
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["digit-recognizer.zip"]


def test_leftovers_of_a_killed_download_are_removed(kaggle: Kaggle, tmp_path: Path, whole: bytes) -> None:
    leftover = tmp_path / "data" / ".downloading-abcdefgh"
    leftover.mkdir(parents=True)
    (leftover / "digit-recognizer.zip").write_bytes(whole[:100])
    kaggle.archive = whole
    assert kaggle.call("download", cwd=tmp_path).returncode == 0
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["digit-recognizer.zip"]


DAMAGES: dict[str, tuple[Callable[[bytes], bytes], tuple[str, ...]]] = {
    "cut": (lambda data: data[: len(data) // 2], ("not a complete zip archive",)),
    "web page": (lambda data: b"<html>Please log in</html>", ("not a complete zip archive",)),
    "flipped byte": (
        lambda data: data[:5000] + bytes([data[5000] ^ 1]) + data[5001:],
        ("not a complete zip archive", "train.csv fails its CRC check"),
    ),
    "missing rows": (
        lambda data: zip_of(train=blank_rows(41_999, True), test=blank_rows(28_000, False)),
        ("train.csv must have 42,000 rows, got 41,999",),
    ),
    "labels in the test set": (
        lambda data: zip_of(train=blank_rows(42_000, True), test=blank_rows(28_000, True)),
        ("test.csv line 1: has a column 'label'",),
    ),
    "no test.csv": (lambda data: zip_of(train=blank_rows(42_000, True)), ("test.csv is missing",)),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_zip_does_not_replace_the_old_one(kaggle: Kaggle, tmp_path: Path, whole: bytes, damage: str) -> None:
    change, messages = DAMAGES[damage]
    kaggle.archive = change(whole)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "digit-recognizer.zip").write_bytes(b"the old one")
    done = kaggle.call("download", cwd=tmp_path)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "not replaced" in done.stderr and any(message in done.stderr for message in messages)
    assert done.stderr.count("\n") == 1
    assert {path.name: path.read_bytes() for path in (tmp_path / "data").iterdir()} == {
        "digit-recognizer.zip": b"the old one"
    }


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("401 Client Error: Unauthorized", "credentials"),
        ("HTTPSConnectionPool(host='www.kaggle.com', port=34015): Connection reset by peer", "other"),
        ("RemoteDisconnected at 0x7f14013c", "other"),
        ("HTTP 401", "credentials"),
    ],
)
def test_only_a_real_401_means_wrong_credentials(message: str, kind: str) -> None:
    assert failure(Result(1, "", message), "nothing was downloaded", 6).kind == kind


RULES = "You must accept this competition's rules before you'll be able to download files."


@pytest.mark.parametrize(
    ("method", "fault", "code", "message"),
    [
        ("DownloadDataFiles", error(401, "Unauthenticated"), 4, "credentials were refused; make a token at https://"),
        ("DownloadDataFiles", error(403, RULES), 5, "https://www.kaggle.com/competitions/digit-recognizer/rules"),
        ("DownloadDataFiles", error(500, "oops"), 1, "nothing was downloaded"),
        ("DownloadDataFiles", web_page, 1, "nothing was downloaded"),
        ("DownloadDataFiles", reset, 1, "nothing was downloaded"),
        ("DownloadDataFiles", hang, 1, "no answer within 2 s"),
        ("GET", hang, 1, "no answer within 2 s"),
        ("GET", error(403, "expired"), 1, "nothing was downloaded"),
    ],
)
def test_a_failed_download_is_reported(
    kaggle: Kaggle, tmp_path: Path, method: str, fault: Answer, code: int, message: str
) -> None:
    kaggle.faults[method] = fault
    done = kaggle.call("download", "--limit-s", str(2 if fault is hang else HANG_S), cwd=tmp_path)
    assert done.returncode == code, done.stdout + done.stderr
    assert message in done.stderr and done.stderr.count("\n") == 1
    assert list((tmp_path / "data").iterdir()) == []


def test_missing_credentials_are_reported(kaggle: Kaggle, tmp_path: Path) -> None:
    done = kaggle.call("download", cwd=tmp_path, KAGGLE_USERNAME=None, KAGGLE_KEY=None)
    assert done.returncode == 4 and "Kaggle credentials were not found; make a token at" in done.stderr


QUESTION = "Download them with your Kaggle credentials? [y/N]"


class Terminal(io.StringIO):
    """Standard input with a person at it."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("answer", "downloads"), [("n", 0), ("", 0), ("y", 1)])
def test_a_run_asks_a_person_before_it_downloads(
    kaggle: Kaggle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str, downloads: int
) -> None:
    kaggle.archive = b"damaged, so that nothing is trained on it"
    monkeypatch.setattr(sys, "stdin", Terminal(f"{answer}\n"))
    done = kaggle.call("run", "--source", "kaggle", cwd=tmp_path)
    assert QUESTION in done.stdout and done.returncode == 2
    assert kaggle.requests.count("DownloadDataFiles") == downloads


@pytest.mark.slow
def test_a_run_asks_at_a_real_terminal(kaggle: Kaggle, tmp_path: Path) -> None:
    kaggle.archive = b"damaged, so that nothing is trained on it"
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "tenfold", "run", "--source", "kaggle"],
        cwd=tmp_path,
        env=kaggle.environment(tmp_path),
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.write(ours, b"y\n")
    stdout, stderr = process.communicate(timeout=HANG_S)
    os.close(ours)
    os.close(theirs)
    assert QUESTION in stdout and process.returncode == 2 and KEY not in stdout + stderr
    assert kaggle.requests.count("DownloadDataFiles") == 1


def test_a_run_without_a_terminal_does_not_download(kaggle: Kaggle, tmp_path: Path) -> None:
    done = kaggle.call("run", "--source", "kaggle", cwd=tmp_path)
    assert done.returncode == 2 and "run `tenfold download`" in done.stderr
    assert kaggle.requests == []
