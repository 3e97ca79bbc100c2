"""What Kaggle hands out is kept only if it is whole; a person is asked before anything is fetched."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from kaggle_server import KEY, Answer, Kaggle, archived, blank, error, hang, page, reset, served, whole_archive

from digit_recognizer.client import failed
from digit_recognizer.command import Finished


@pytest.fixture
def kaggle() -> Iterator[Kaggle]:
    with served() as server:
        yield server


@pytest.fixture(scope="module")
def whole() -> bytes:
    return whole_archive()


def test_the_zip_arrives(kaggle: Kaggle, tmp_path: Path, whole: bytes) -> None:
    kaggle.archive = whole
    done = kaggle.tenfold("download", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("downloaded data/digit-recognizer.zip; `tenfold run --source kaggle")
    assert (tmp_path / "data" / "digit-recognizer.zip").read_bytes() == whole
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["digit-recognizer.zip"]


def test_what_a_killed_download_left_goes_with_the_next(kaggle: Kaggle, tmp_path: Path, whole: bytes) -> None:
    left = tmp_path / "data" / ".downloading-abcdefgh"
    left.mkdir(parents=True)
    (left / "digit-recognizer.zip").write_bytes(whole[:100])
    kaggle.archive = whole
    assert kaggle.tenfold("download", cwd=tmp_path).returncode == 0
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["digit-recognizer.zip"]


DAMAGES = {
    "cut": (lambda data: data[: len(data) // 2], "is no whole zip archive"),
    "a page": (lambda data: b"<html>Please log in</html>", "is no whole zip archive"),
    "a flipped byte": (
        lambda data: data[:5000] + bytes([data[5000] ^ 1]) + data[5001:],
        "zip archive|damaged train.csv",
    ),
    "rows missing": (
        lambda data: archived(train=blank(41_999, True), test=blank(28_000, False)),
        "has 41,999 rows in train.csv where 42,000 belong",
    ),
    "labels in the test set": (
        lambda data: archived(train=blank(42_000, True), test=blank(28_000, True)),
        "not replaced",
    ),
    "no test.csv": (lambda data: archived(train=blank(42_000, True)), "holds no test.csv"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_zip_does_not_take_the_old_ones_place(
    kaggle: Kaggle, tmp_path: Path, whole: bytes, damage: str
) -> None:
    change, sentence = DAMAGES[damage]
    kaggle.archive = change(whole)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "digit-recognizer.zip").write_bytes(b"the old one")
    done = kaggle.tenfold("download", cwd=tmp_path)
    assert done.returncode == 2, done.stdout + done.stderr
    assert any(part in done.stderr for part in sentence.split("|")) and "not replaced" in done.stderr
    assert done.stderr.count("\n") == 1
    assert {path.name: path.read_bytes() for path in (tmp_path / "data").iterdir()} == {
        "digit-recognizer.zip": b"the old one"
    }


RULES = "You must accept this competition's rules before you'll be able to download files."


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("401 Client Error: Unauthorized", "credentials"),
        ("HTTPSConnectionPool(host='www.kaggle.com', port=34015): Connection reset by peer", "other"),
        ("RemoteDisconnected at 0x7f14013c", "other"),
        ("HTTP 401", "credentials"),
    ],
)
def test_a_refusal_is_told_from_a_number_that_looks_like_one(said: str, kind: str) -> None:
    assert failed(Finished(1, "", said), "nothing was downloaded", 6).kind == kind


@pytest.mark.parametrize(
    ("method", "fault", "code", "sentence"),
    [
        ("DownloadDataFiles", error(401, "Unauthenticated"), 4, "credentials were refused; make a token at https://"),
        ("DownloadDataFiles", error(403, RULES), 5, "https://www.kaggle.com/competitions/digit-recognizer/rules"),
        ("DownloadDataFiles", error(500, "oops"), 1, "nothing was downloaded"),
        ("DownloadDataFiles", page, 1, "nothing was downloaded"),
        ("DownloadDataFiles", reset, 1, "nothing was downloaded"),
        ("DownloadDataFiles", hang, 1, "no answer within 6 s"),
        ("GET", hang, 1, "no answer within 6 s"),
        ("GET", error(403, "expired"), 1, "nothing was downloaded"),
    ],
)
def test_what_goes_wrong_is_said(
    kaggle: Kaggle, tmp_path: Path, method: str, fault: Answer, code: int, sentence: str
) -> None:
    kaggle.faults[method] = fault
    done = kaggle.tenfold("download", "--limit-s", "6", cwd=tmp_path)
    assert done.returncode == code, done.stdout + done.stderr
    assert sentence in done.stderr and done.stderr.count("\n") == 1
    assert list((tmp_path / "data").iterdir()) == []


def test_without_credentials_it_says_where_to_get_them(kaggle: Kaggle, tmp_path: Path) -> None:
    done = kaggle.tenfold("download", cwd=tmp_path, KAGGLE_USERNAME=None, KAGGLE_KEY=None)
    assert done.returncode == 4 and "Kaggle credentials were not found; make a token at" in done.stderr


@pytest.mark.parametrize(("answer", "asked"), [("n", 0), ("", 0), ("y", 1)])
def test_a_run_asks_a_person_before_it_downloads(kaggle: Kaggle, tmp_path: Path, answer: str, asked: int) -> None:
    kaggle.archive = b"not whole, so that nothing is trained on it"
    ours, theirs = pty.openpty()
    running = subprocess.Popen(
        [sys.executable, "-m", "tenfold.cli", "run", "--source", "kaggle"],
        cwd=tmp_path,
        env=kaggle.environment(tmp_path),
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.write(ours, f"{answer}\n".encode())
    stdout, stderr = running.communicate(timeout=60)
    os.close(ours)
    os.close(theirs)
    assert "data does not hold Kaggle's files. Download them with your Kaggle credentials? [y/N]" in stdout
    assert running.returncode == 2 and KEY not in stdout + stderr
    assert kaggle.asked.count("DownloadDataFiles") == asked


def test_a_run_that_nobody_watches_downloads_nothing(kaggle: Kaggle, tmp_path: Path) -> None:
    done = kaggle.tenfold("run", "--source", "kaggle", cwd=tmp_path)
    assert done.returncode == 2 and "let `tenfold download` do it" in done.stderr
    assert kaggle.asked == []
