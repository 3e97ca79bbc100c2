"""The competition's files are found where they lie if that is beyond doubt, and otherwise what is there is named."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import few_digits, refused
from test_files import CONTENT, folder_with, is_unchanged, zip_with

from digit_recognizer import competition, files, locate
from digit_recognizer.damage import DamagedFile
from digit_recognizer.rows import render
from tenfold.settings import Data
from tenfold.sources.load import load_sources, resolve_source

OTHERS = {"train.csv": b"PassengerId,Survived\n1,0\n", "test.csv": b"PassengerId\n1\n"}


def zip_at(path: Path) -> None:
    zip_with(path, CONTENT)


def folder_at(path: Path) -> None:
    folder_with(path, CONTENT)


def folder_with_zip_at(path: Path) -> None:
    path.mkdir()
    zip_at(path / competition.ARCHIVE)


PLACES = {
    "digit-recognizer (1).zip": zip_at,
    "Digit-Recognizer.ZIP": zip_at,
    "digit-recognizer": folder_at,
    "digit-recognizer (2)": folder_at,
    "kaggle": folder_at,
    "downloads": folder_with_zip_at,
}


@pytest.mark.parametrize("name", PLACES)
def test_the_only_copy_is_found_and_named(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("tenfold.sources.mnist._mirror_answers", lambda: False)
    data = tmp_path / "data"
    folder_with(data, {"notes.txt": b"", "train.py": b""})
    folder_with(data / "titanic", OTHERS)
    folder_with(data / ".downloading-1", CONTENT)
    PLACES[name](data / name)
    path = locate.find(data)
    assert path in (data / name, data / name / competition.ARCHIVE) and is_unchanged(files.read(path))
    resolved, line = resolve_source(Data(data=data))
    assert resolved.source == "kaggle" and line.startswith("source: kaggle")
    assert f"note: reading {path}" in load_sources(resolved).notes


def test_files_in_their_own_place_need_no_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("tenfold.sources.mnist._mirror_answers", lambda: False)
    folder_with_zip_at(tmp_path / "data")
    zip_at(tmp_path / "data/digit-recognizer (1).zip")
    for data in (tmp_path / "data", tmp_path / "data" / competition.ARCHIVE):
        assert not any("reading" in note for note in load_sources(Data(source="kaggle", data=data)).notes)


@pytest.mark.parametrize(("one", "other"), [("digit-recognizer", "digit-recognizer (1).zip"), ("a", "b")])
def test_two_copies_are_named(tmp_path: Path, one: str, other: str) -> None:
    for name in (one, other):
        (zip_at if name.endswith(".zip") else folder_at)(tmp_path / name)
    with pytest.raises(DamagedFile, match="give one of them as the data folder") as caught:
        locate.find(tmp_path)
    assert one in str(caught.value) and other in str(caught.value)


ALIKE = [
    "train (1).csv",
    "test - Copy.csv",
    "Train.csv.gz",
    "train.csv.zip",
    "test.csv.crdownload",
    "train.xlsx",
    "train.parquet",
    "digit-recognizer.7z",
    "digit-recognizer.zip.part",
    "digit-recognizer (1).rar",
    "digit-recognizer.tar.gz",
]


@pytest.mark.parametrize("name", ALIKE)
def test_auto_names_what_only_looks_like_the_files(tmp_path: Path, name: str) -> None:
    """It took the sample, without a word about them."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / name).write_bytes(b"something")
    message = refused("run", cwd=tmp_path)
    assert name in message and "train.csv" in message and competition.ARCHIVE in message
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_the_one_file_that_is_there_is_named_with_what_looks_like_the_other(tmp_path: Path) -> None:
    folder_with(tmp_path, {"train.csv": CONTENT["train.csv"], "test (1).csv": CONTENT["test.csv"]})
    with pytest.raises(DamagedFile, match=r"has train\.csv but no test\.csv, only test \(1\)\.csv; put test\.csv"):
        locate.find(tmp_path)


@pytest.mark.parametrize("name", ["train.py", "training.csv", "test_results.csv", "notes.zip", "trainer.csv.gz"])
def test_other_files_are_no_reason_to_stop(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(render(few_digits(1).images))
    assert locate.find(tmp_path) is None
    assert resolve_source(Data(data=tmp_path))[0].source == "sample"
