"""The files are found inside a zip, and no zip or CSV takes more memory or time than the competition's own."""

from __future__ import annotations

import io
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import HANG_S
from test_files import CONTENT, MEMORY_PROBE, error_of, is_unchanged, probe_environment, zip_with

from digit_recognizer import archive, competition, files
from digit_recognizer.rows import PIXELS

BOTH = {name: CONTENT[name] for name in ("train.csv", "test.csv")}


def inside(folder: str) -> dict[str, bytes]:
    return {f"{folder}/{name}": data for name, data in CONTENT.items()}


@pytest.mark.parametrize(
    "content",
    [
        inside("digit-recognizer"),
        inside("a/b/c"),
        inside("digit-recognizer") | {"__MACOSX/digit-recognizer/._train.csv": b"x", "other/train.csv": b"x"},
        {name.replace("/", "\\"): data for name, data in inside("digit-recognizer").items()},
        CONTENT | inside("copy"),
    ],
    ids=["folder", "deep folder", "with other files", "backslashes", "the top before a folder"],
)
def test_files_in_a_folder_of_the_zip_are_read(tmp_path: Path, content: dict[str, bytes]) -> None:
    assert is_unchanged(files.read(zip_with(tmp_path / competition.ARCHIVE, content)))


def test_damage_in_a_folder_of_the_zip_is_named_with_the_folder(tmp_path: Path) -> None:
    path = zip_with(tmp_path / competition.ARCHIVE, inside("d") | {"d/test.csv": b"<html>"})
    assert error_of(path).startswith(": d/test.csv: is a web page")


def test_two_folders_of_the_zip_are_named(tmp_path: Path) -> None:
    path = zip_with(tmp_path / competition.ARCHIVE, inside("a") | inside("b"))
    assert error_of(path) == ": has train.csv and test.csv both in a and b; unpack it, and give one of these folders"


def test_a_zip_in_the_zip_is_named(tmp_path: Path) -> None:
    inner = zip_with(tmp_path / "inner.zip", CONTENT).read_bytes()
    path = zip_with(tmp_path / competition.ARCHIVE, {"x/digit-recognizer.zip": inner})
    assert error_of(path).startswith(": has the archive x/digit-recognizer.zip inside; unpack it")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_an_entry_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    path = zip_with(tmp_path / competition.ARCHIVE, CONTENT)
    with zipfile.ZipFile(path, "a") as zip_file:
        zip_file.writestr("train.csv", CONTENT["train.csv"])
    assert error_of(path) == ": has train.csv 2 times; download it again"


def big(path: Path, start: bytes, piece: bytes, pieces: int, method: int = zipfile.ZIP_DEFLATED) -> Path:
    """A zip whose train.csv is `start`, then `piece` again and again."""
    zip_with(path, {"test.csv": CONTENT["test.csv"]})
    with (
        zipfile.ZipFile(path, "a", method, compresslevel=1) as zip_file,
        zip_file.open("train.csv", "w", force_zip64=True) as entry,
    ):
        entry.write(start)
        for _ in range(pieces):
            entry.write(piece)
    return path


def lying(path: Path) -> Path:
    """A zip of 512 MB that declares 1 MB."""
    big(path, HEADER, bytes(1 << 20), 512)
    content = path.read_bytes()
    with zipfile.ZipFile(path) as zip_file:
        size = zip_file.getinfo("train.csv").file_size
    path.write_bytes(content.replace(size.to_bytes(4, "little"), (1 << 20).to_bytes(4, "little")))
    return path


def overlapping(path: Path) -> Path:
    """Many names for the same bytes, as in D. Fifield's bombs: each counts in full."""
    big(path, HEADER, ROW * 500, 200)
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as zip_file:
        entries = zip_file.infolist()
        directory = zip_file.start_dir
    test, train = entries
    # test.csv's entry in the directory, with the place, sizes and CRC of train.csv.
    train_entry = content.index(b"PK\x01\x02", directory + 46)
    content[directory + 10 : directory + 28] = content[train_entry + 10 : train_entry + 28]
    content[directory + 42 : directory + 46] = train.header_offset.to_bytes(4, "little")
    assert test.filename == "test.csv"
    path.write_bytes(content)
    return path


HEADER = ",".join(("label", *PIXELS)).encode() + b"\n"
ROW = b",".join([b"0"] * 785) + b"\n"
MB = 1 << 20

BOMBS: dict[str, Callable[[Path], Path]] = {
    "4 GB of NULs": lambda path: big(path, b"", bytes(16 * MB), 256),
    "rows without end": lambda path: big(path, HEADER, ROW * 2000, 90),
    "250 MB of blank lines": lambda path: big(path, HEADER, b"\n" * MB, 240),
    "a line of 250 MB": lambda path: big(path, HEADER, b"0," * (MB // 2), 240),
    "a header of 250 MB": lambda path: big(path, b"label,", b"pixel0," * 10_000, 3500),
    "an open quote": lambda path: big(path, HEADER + b'"', ROW * 500, 300),
    "wide rows": lambda path: big(path, HEADER, b"0," * 16_000 + b"0\n", 7800),
    "bzip2": lambda path: big(path, HEADER, bytes(16 * MB), 16, zipfile.ZIP_BZIP2),
    "lzma": lambda path: big(path, HEADER, bytes(16 * MB), 4, zipfile.ZIP_LZMA),
    "a size that is not true": lying,
    "overlapping entries": overlapping,
}


@pytest.mark.slow
@pytest.mark.parametrize("bomb", BOMBS)
def test_a_bomb_ends_in_a_sentence_and_in_little_memory(tmp_path: Path, bomb: str) -> None:
    path = BOMBS[bomb](tmp_path / competition.ARCHIVE)
    assert path.stat().st_size < 20 * MB
    done = subprocess.run(
        [sys.executable, "-c", MEMORY_PROBE, str(path)],
        env=probe_environment(),
        capture_output=True,
        text=True,
        timeout=HANG_S,
    )
    damage, peak_kb = done.stdout.splitlines()
    assert damage.startswith(f"{path}: ") and damage.isprintable() and int(peak_kb.split()[-1]) < 500_000


@pytest.mark.parametrize("end", [b"", b"\n"], ids=["no end", "an end"])
def test_an_endless_line_of_a_csv_is_read_no_further(tmp_path: Path, end: bytes) -> None:
    """In a sparse file of 2 GB; only its first bytes are there."""
    path = tmp_path / "train.csv"
    with path.open("wb") as file:
        file.write(HEADER + b"1,2,3")
        file.truncate(2 << 30)
        file.seek(0, io.SEEK_END)
        file.write(end)
    (tmp_path / "test.csv").write_bytes(CONTENT["test.csv"])
    assert error_of(tmp_path).startswith("/train.csv line 2: is longer than 32,768 bytes, more than any row;")


def test_declared_sizes_count_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = zip_with(tmp_path / competition.ARCHIVE, CONTENT)
    total = sum(map(len, CONTENT.values()))
    monkeypatch.setattr(archive, "LARGEST", total)
    assert is_unchanged(files.read(path))
    monkeypatch.setattr(archive, "LARGEST", total - 1)
    assert error_of(path).startswith(": unpacks to 0 MB, the competition's files to 128 MB;")


def test_more_than_the_declared_size_is_not_read(tmp_path: Path) -> None:
    path = zip_with(tmp_path / competition.ARCHIVE, CONTENT)
    size = len(CONTENT["train.csv"])
    content = path.read_bytes().replace(size.to_bytes(4, "little"), (size // 2).to_bytes(4, "little"))
    path.write_bytes(content)
    assert error_of(path).startswith(": is not a complete zip archive (Bad CRC-32")
