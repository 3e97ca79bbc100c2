"""The competition's files read the same from a zip and from a folder, and a damaged file is refused."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from digit_recognizer import competition, files, locate, submission
from digit_recognizer.damage import DamagedFile
from digit_recognizer.rows import render

rng = np.random.default_rng(0)
TRAIN_IMAGES, TEST_IMAGES = (
    (rng.integers(0, 256, (n, 28, 28)) * (rng.random((n, 28, 28)) < 0.2)).astype(np.uint8) for n in (6, 4)
)
TRAIN_LABELS = np.arange(6)
CONTENT = {
    "train.csv": render(TRAIN_IMAGES, TRAIN_LABELS),
    "test.csv": render(TEST_IMAGES),
    "sample_submission.csv": submission.render(np.zeros(4, np.int64)),
}


def folder_with(folder: Path, content: dict[str, bytes]) -> Path:
    folder.mkdir(exist_ok=True)
    for name, data in content.items():
        (folder / name).write_bytes(data)
    return folder


def zip_with(path: Path, content: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    return path


def read_found(folder: Path) -> files.Files:
    path = locate.find(folder)
    assert path is not None
    return files.read(path)


def is_unchanged(read: files.Files) -> bool:
    return (
        np.array_equal(read.train_images, TRAIN_IMAGES)
        and np.array_equal(read.train_labels, TRAIN_LABELS)
        and np.array_equal(read.test_images, TEST_IMAGES)
    )


def error_of(path: Path) -> str:
    """The message for the files at `path`, without the path."""
    with pytest.raises(DamagedFile) as error:
        files.read(path)
    message = str(error.value)
    assert message.startswith(str(path)) and message.isprintable() and ";" in message
    return message.removeprefix(str(path))


@pytest.mark.parametrize("form", ["CSVs", "zip in a folder", "zip itself", "stored zip", "CSVs before the zip"])
@pytest.mark.parametrize("names", [list(CONTENT), ["train.csv", "test.csv"]], ids=["all three", "no sample submission"])
def test_every_form_gives_the_same_arrays(tmp_path: Path, form: str, names: list[str]) -> None:
    content = {name: CONTENT[name] for name in names}
    if form.startswith("CSVs"):
        folder_with(tmp_path, content)
        if "zip" in form:
            (tmp_path / competition.ARCHIVE).write_bytes(b"not read")
        path = tmp_path
    else:
        method = zipfile.ZIP_STORED if "stored" in form else zipfile.ZIP_DEFLATED
        archive = zip_with(tmp_path / competition.ARCHIVE, content, method)
        path = tmp_path if "folder" in form else archive
    read = read_found(path)
    assert is_unchanged(read)
    assert [array.dtype for array in (read.train_images, read.train_labels, read.test_images)] == ["u1", "i8", "u1"]


def test_a_folder_without_the_files_gives_none(tmp_path: Path) -> None:
    assert locate.find(tmp_path) is None
    assert locate.find(tmp_path / "not there") is None


@pytest.mark.parametrize(("present", "missing"), [("train.csv", "test.csv"), ("test.csv", "train.csv")])
def test_one_csv_without_the_other_is_refused(tmp_path: Path, present: str, missing: str) -> None:
    folder_with(tmp_path, {present: CONTENT[present], "sample_submission.csv": CONTENT["sample_submission.csv"]})
    with pytest.raises(DamagedFile, match=f"has {present} but no {missing}; put {missing}"):
        locate.find(tmp_path)


def test_the_zip_is_read_if_only_one_csv_lies_beside_it(tmp_path: Path) -> None:
    folder_with(tmp_path, {"train.csv": b"half a downl"})
    zip_with(tmp_path / competition.ARCHIVE, CONTENT)
    assert is_unchanged(read_found(tmp_path))


def test_damage_in_the_zip_is_named_by_entry_line_and_column(tmp_path: Path) -> None:
    lines = CONTENT["train.csv"].split(b"\n")
    lines[2] = b"12" + lines[2][1:]
    path = zip_with(tmp_path / "set.zip", CONTENT | {"train.csv": b"\n".join(lines)})
    assert error_of(path).startswith(": train.csv line 3, column 'label': must be an integer 0..9, got '12'")


def test_swapped_train_and_test_are_refused(tmp_path: Path) -> None:
    swapped = CONTENT | {"train.csv": CONTENT["test.csv"], "test.csv": CONTENT["train.csv"]}
    message = error_of(folder_with(tmp_path, swapped))
    assert message == "/train.csv line 1: has no column 'label'; is this test.csv instead of train.csv?"


@pytest.mark.parametrize("share", [0, 0.01, 0.3, 0.6, 0.9, 0.99, 1])
def test_a_truncated_zip_is_refused(tmp_path: Path, share: float) -> None:
    path = zip_with(tmp_path / competition.ARCHIVE, CONTENT)
    whole = path.read_bytes()
    path.write_bytes(whole[: min(int(share * len(whole)), len(whole) - 1)])
    message = error_of(path)
    assert message.startswith(": is not a complete zip archive") and message.endswith("download it again")


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED], ids=["stored", "deflated"])
@pytest.mark.parametrize("name", CONTENT)
def test_a_changed_byte_in_an_entry_is_refused(tmp_path: Path, name: str, method: int) -> None:
    path = zip_with(tmp_path / competition.ARCHIVE, CONTENT, method)
    with zipfile.ZipFile(path) as archive:
        entry = archive.getinfo(name)
    damaged = bytearray(path.read_bytes())
    middle = entry.header_offset + 30 + len(name) + entry.compress_size // 2
    damaged[middle] ^= 1  # in a stored entry this only changes a digit, which only the checksum can reveal
    path.write_bytes(damaged)
    assert "again" in error_of(path)


@pytest.mark.parametrize("method", [1, 9, 12, 14, 99], ids=["shrunk", "deflate64", "bzip2", "lzma", "AES"])
def test_an_entry_with_the_wrong_method_is_refused(tmp_path: Path, method: int) -> None:
    path = zip_with(tmp_path / competition.ARCHIVE, CONTENT)
    damaged = bytearray(path.read_bytes())
    damaged[damaged.index(b"PK\x01\x02") + 10] = method
    path.write_bytes(damaged)
    message = error_of(path)
    assert message.startswith(f": cannot be unpacked here (compression method {method}); unpack it with another")


def test_no_changed_byte_at_the_zips_end_changes_digits(tmp_path: Path) -> None:
    path = zip_with(tmp_path / competition.ARCHIVE, CONTENT)
    whole = path.read_bytes()
    refused = 0
    for position in range(whole.index(b"PK\x05\x06"), len(whole)):
        damaged = bytearray(whole)
        damaged[position] ^= 0x80
        path.write_bytes(damaged)
        try:
            assert is_unchanged(files.read(path))
        except DamagedFile:
            refused += 1
    assert refused > 10


@pytest.mark.parametrize("name", ["train.csv", "test.csv"])
def test_a_zip_without_a_csv_is_refused(tmp_path: Path, name: str) -> None:
    content = {entry: data for entry, data in CONTENT.items() if entry != name} | {f"inner/{name}": CONTENT[name]}
    message = error_of(zip_with(tmp_path / competition.ARCHIVE, content))
    assert message == f": has no {name}; download the competition's {competition.ARCHIVE} again"


@pytest.mark.parametrize(
    "entry",
    ["../x.csv", "a/../../x.csv", "/x.csv", "..\\x.csv", "\\x.csv", "C:x.csv", "C:\\x.csv", "\\\\host\\a\\x.csv"],
)
def test_a_zip_with_an_entry_outside_it_is_refused(tmp_path: Path, entry: str) -> None:
    inner = tmp_path / "data"
    inner.mkdir()
    message = error_of(zip_with(inner / competition.ARCHIVE, CONTENT | {entry: b"x"}))
    assert message == f": entry {entry!r} points outside the archive; do not use this file"
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["data", competition.ARCHIVE]


def test_an_encrypted_zip_is_refused(tmp_path: Path) -> None:
    path = zip_with(tmp_path / competition.ARCHIVE, CONTENT)
    marked = path.read_bytes()
    for signature, flags_at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        start = marked.index(signature) + flags_at
        marked = marked[:start] + bytes([marked[start] | 1]) + marked[start + 1 :]
    path.write_bytes(marked)
    message = error_of(path)
    assert message.startswith(": is protected by a password; unpack it with another program")


@pytest.mark.parametrize("packed", [True, False], ids=["zip", "folder"])
def test_fewer_rows_than_the_sample_submission_are_refused(tmp_path: Path, packed: bool) -> None:
    content = CONTENT | {"test.csv": render(TEST_IMAGES[:3])}
    path = zip_with(tmp_path / competition.ARCHIVE, content) if packed else folder_with(tmp_path, content)
    message = error_of(path)
    assert "test.csv: must have 4 rows, as sample_submission.csv has, got 3" in message
    assert message.endswith("download both again")


@pytest.mark.parametrize(
    "damaged",
    [
        b"",
        b"ImageId,Label\n",
        b"<!DOCTYPE html>\n<html>\n</html>\n\n<p>\n",
        b"ImageId,Label\n1,0\n2,\xff\n3,0\n4,0\n",
        b"ImageId,Label\n1,0\n2,0\n3,",
        b'ImageId,Label\n1,0\n2,"0\n3,0\n4,0\n',
        bytes(1000),
    ],
    ids=["empty", "header only", "web page", "not UTF-8", "cut", "open quote", "NUL bytes"],
)
@pytest.mark.parametrize("packed", [True, False], ids=["zip", "folder"])
def test_a_damaged_sample_submission_is_refused(tmp_path: Path, damaged: bytes, packed: bool) -> None:
    content = CONTENT | {"sample_submission.csv": damaged}
    path = zip_with(tmp_path / competition.ARCHIVE, content) if packed else folder_with(tmp_path, content)
    assert error_of(path).startswith(": sample_submission.csv" if packed else "/sample_submission.csv")


MEMORY_PROBE = """
import sys
from pathlib import Path
from digit_recognizer import files, locate
from digit_recognizer.damage import DamagedFile
try:
    read = files.read(locate.find(Path(sys.argv[1])))
    print(len(read.train_images), len(read.test_images), read.train_labels.min(), read.train_labels.max())
except DamagedFile as damage:
    print(damage)
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


def probe_environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}


@pytest.mark.real
def test_the_real_files_are_read_in_less_than_500_mb(real_data: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", MEMORY_PROBE, str(real_data)],
        env=probe_environment(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    *numbers, peak_kb = map(int, done.stdout.split())
    assert numbers == [42_000, 28_000, 0, 9]
    assert peak_kb < 500_000
