"""A file that is not what its name says is named as what it is, with what to do, by every reader and command."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import sqlite3
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import few_digits, refused
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from digit_recognizer import files, kinds, submission
from digit_recognizer.damage import DamagedFile
from digit_recognizer.rows import read_csv, render

DIGITS = few_digits(3)
CSV = render(DIGITS.images, DIGITS.labels)


def zip_of(*names: str) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name in names:
            archive.writestr(name, CSV)
    return packed.getvalue()


def tar() -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        entry = tarfile.TarInfo("train.csv")
        entry.size = len(CSV)
        archive.addfile(entry, io.BytesIO(CSV))
    return packed.getvalue()


def database() -> bytes:
    with sqlite3.connect(":memory:") as connection:
        connection.execute("create table digits (label)")
        return connection.serialize()


def array() -> bytes:
    file = io.BytesIO()
    np.save(file, DIGITS.images)
    return file.getvalue()


def picture(form: str) -> bytes:
    file = io.BytesIO()
    Image.fromarray(DIGITS.images[0]).save(file, form)
    return file.getvalue()


# The content, what the message calls it, and what to do.
KINDS = {
    "zip": (zip_of("train.csv"), "a zip archive, not a CSV", "unpack it"),
    "xlsx": (zip_of("[Content_Types].xml", "xl/workbook.xml"), "an Excel workbook, not a CSV", "save it as CSV"),
    "xlsx of another writer": (zip_of("docProps/app.xml"), "an Excel workbook, not a CSV", "save it as CSV"),
    "xls": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "an Excel workbook", "save it as CSV"),
    "gzip": (gzip.compress(CSV), "a gzip archive", "unpack it"),
    "bzip2": (bz2.compress(CSV), "a bzip2 archive", "unpack it"),
    "xz": (lzma.compress(CSV), "an xz archive", "unpack it"),
    "tar": (tar(), "a tar archive", "unpack it"),
    "7z": (b"7z\xbc\xaf\x27\x1c\x00\x04" + bytes(600), "a 7z archive", "unpack it"),
    "RAR": (b"Rar!\x1a\x07\x01\x00" + bytes(600), "a RAR archive", "unpack it"),
    "Zstandard": (b"\x28\xb5\x2f\xfd\x04\x00" + bytes(600), "a Zstandard archive", "unpack it"),
    "Parquet": (b"PAR1\x15\x04\x15" + bytes(600), "a Parquet file", "save it as CSV"),
    "Feather": (b"ARROW1\x00\x00" + bytes(600), "a Feather file", "save it as CSV"),
    "NumPy": (array(), "a NumPy file", "save it as CSV"),
    "SQLite": (database(), "an SQLite database", "save it as CSV"),
    "PDF": (b"%PDF-1.7\n", "a PDF", "save it as CSV"),
    "PNG": (picture("png"), "a PNG picture", "name it as the picture that it is"),
    "JPEG": (picture("jpeg"), "a JPEG picture", "name it as the picture that it is"),
    "GIF": (picture("gif"), "a GIF picture", "name it as the picture that it is"),
    "TIFF": (picture("tiff"), "a TIFF picture", "name it as the picture that it is"),
    "WebP": (picture("webp"), "a WebP picture", "name it as the picture that it is"),
    "UTF-16": (CSV.decode().encode("utf-16"), "text in UTF-16", "save it as UTF-8"),
    "UTF-16, big end first, no mark": (CSV.decode().encode("utf-16-be"), "text in UTF-16", "save it as UTF-8"),
    "UTF-16, small end first, no mark": (CSV.decode().encode("utf-16-le"), "text in UTF-16", "save it as UTF-8"),
    "UTF-32": (CSV.decode().encode("utf-32"), "text in UTF-16", "save it as UTF-8"),
    "Git LFS": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 76775041\n",
        "a Git LFS pointer",
        "`git lfs pull`",
    ),
    "web page": (b"\n<!DOCTYPE html>\n<html></html>\n", "a web page", "while logged in"),
    "JSON": (b'{"code": 403}\n', "JSON, not a CSV", "while logged in"),
}


def read_as_files(path: Path) -> None:
    folder = path.with_name("data")
    folder.mkdir(exist_ok=True)
    (folder / "train.csv").write_bytes(path.read_bytes())
    (folder / "test.csv").write_bytes(render(DIGITS.images))
    files.read(folder)


@pytest.mark.parametrize("read", [read_csv, submission.read, read_as_files], ids=["digits", "submission", "folder"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_reader_names_what_a_file_is(tmp_path: Path, kind: str, read: Callable[[Path], object]) -> None:
    content, name, fix = KINDS[kind]
    path = tmp_path / "given.csv"
    path.write_bytes(content)
    with pytest.raises(DamagedFile) as caught:
        read(path)
    message = str(caught.value)
    assert f".csv: is {name}" in message and fix in message and message.isprintable() and message.count(";") == 1


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("zip", "xlsx", "xlsx of another writer")])
def test_what_is_named_zip_and_is_none_is_named(tmp_path: Path, kind: str) -> None:
    content, name, fix = KINDS[kind]
    path = tmp_path / "digit-recognizer.zip"
    path.write_bytes(content)
    with pytest.raises(DamagedFile) as caught:
        files.read(path)
    expected = name.replace("a CSV", "a zip archive")
    assert str(caught.value).startswith(f"{path}: is {expected}") and fix in str(caught.value)


@pytest.mark.parametrize("command", ["predict given.csv", "score given.csv --source sample"])
def test_the_commands_say_it_in_one_sentence(tmp_path: Path, command: str) -> None:
    (tmp_path / "given.csv").write_bytes(KINDS["UTF-16"][0])
    assert "given.csv: is text in UTF-16" in refused(*command.split(), cwd=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["given.csv"]


@settings(max_examples=200, deadline=None)
@given(
    start=st.binary(max_size=60) | st.sampled_from([content[:40] for content, *_ in KINDS.values()]),
    rest=st.binary(max_size=60),
)
def test_any_bytes_are_refused_as_a_submission(start: bytes, rest: bytes) -> None:
    with pytest.raises(DamagedFile) as caught:
        submission.parse(lambda: io.BytesIO(start + rest), "given.csv")
    assert str(caught.value).startswith("given.csv") and str(caught.value).isprintable()


@settings(max_examples=100, deadline=None)
@given(text=st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=60))
def test_plain_text_is_only_refused_for_what_it_says(text: str) -> None:
    said = ("<", "{", "BZh", "GIF8", "PAR1", "ARROW1", "%PDF-", "version https://git-lfs", "Rar!", "7z", "MM", "II")
    told = kinds.refusal(text.encode(), "a CSV")
    assert told is None or text.lstrip().startswith(said) or text[8:12] == "WEBP"
