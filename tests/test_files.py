"""The competition's files are read from a zip or a folder alike, and damage to either is refused."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from digit_recognizer import competition, files, submission
from digit_recognizer.rows import DamagedFile, render

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


def zip_with(place: Path, content: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(place, "w", method) as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    return place


def place_of(folder: Path) -> Path:
    place = files.found(folder)
    assert place is not None
    return place


def is_the_set(read: files.Files) -> bool:
    return (
        np.array_equal(read.train_images, TRAIN_IMAGES)
        and np.array_equal(read.train_labels, TRAIN_LABELS)
        and np.array_equal(read.test_images, TEST_IMAGES)
    )


def refusal(place: Path) -> str:
    """What is said against the files at a place, less the place."""
    with pytest.raises(DamagedFile) as caught:
        files.read(place)
    said = str(caught.value)
    assert said.startswith(str(place)) and said.isprintable() and ";" in said
    return said.removeprefix(str(place))


@pytest.mark.parametrize("form", ["CSVs", "zip in a folder", "zip itself", "stored zip", "CSVs before the zip"])
@pytest.mark.parametrize("names", [list(CONTENT), ["train.csv", "test.csv"]], ids=["all three", "no sample submission"])
def test_every_form_gives_the_same_arrays(tmp_path: Path, form: str, names: list[str]) -> None:
    content = {name: CONTENT[name] for name in names}
    if form.startswith("CSVs"):
        folder_with(tmp_path, content)
        if "zip" in form:
            (tmp_path / competition.ARCHIVE).write_bytes(b"never looked at")
        asked = tmp_path
    else:
        method = zipfile.ZIP_STORED if "stored" in form else zipfile.ZIP_DEFLATED
        asked = zip_with(tmp_path / competition.ARCHIVE, content, method)
        asked = tmp_path if "folder" in form else asked
    read = files.read(place_of(asked))
    assert is_the_set(read)
    assert [array.dtype for array in (read.train_images, read.train_labels, read.test_images)] == ["u1", "i8", "u1"]


def test_a_folder_without_the_files_has_no_place(tmp_path: Path) -> None:
    assert files.found(tmp_path) is None
    assert files.found(tmp_path / "not there") is None


@pytest.mark.parametrize(("here", "lacking"), [("train.csv", "test.csv"), ("test.csv", "train.csv")])
def test_one_of_the_two_csvs_alone_is_refused_by_name(tmp_path: Path, here: str, lacking: str) -> None:
    folder_with(tmp_path, {here: CONTENT[here], "sample_submission.csv": CONTENT["sample_submission.csv"]})
    with pytest.raises(DamagedFile, match=f"has {here} but no {lacking}; put {lacking}"):
        files.found(tmp_path)


def test_one_csv_beside_the_zip_leaves_the_zip_to_be_read(tmp_path: Path) -> None:
    folder_with(tmp_path, {"train.csv": b"half a downl"})
    zip_with(tmp_path / competition.ARCHIVE, CONTENT)
    assert is_the_set(files.read(place_of(tmp_path)))


def test_damage_inside_the_zip_is_named_by_archive_entry_line_and_column(tmp_path: Path) -> None:
    lines = CONTENT["train.csv"].split(b"\n")
    lines[2] = b"12" + lines[2][1:]
    place = zip_with(tmp_path / "set.zip", CONTENT | {"train.csv": b"\n".join(lines)})
    assert refusal(place).startswith(": train.csv line 3, column 'label': is '12'")


def test_train_and_test_exchanged_are_refused(tmp_path: Path) -> None:
    exchanged = CONTENT | {"train.csv": CONTENT["test.csv"], "test.csv": CONTENT["train.csv"]}
    said = refusal(folder_with(tmp_path, exchanged))
    assert said == "/train.csv line 1: has no column 'label'; is this test.csv instead of train.csv?"


@pytest.mark.parametrize("share", [0, 0.01, 0.3, 0.6, 0.9, 0.99, 1])
def test_a_truncated_zip_is_refused(tmp_path: Path, share: float) -> None:
    place = zip_with(tmp_path / competition.ARCHIVE, CONTENT)
    whole = place.read_bytes()
    place.write_bytes(whole[: min(int(share * len(whole)), len(whole) - 1)])
    said = refusal(place)
    assert said.startswith(": is no whole zip archive") and said.endswith("download it again")


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED], ids=["stored", "deflated"])
@pytest.mark.parametrize("name", CONTENT)
def test_a_byte_changed_inside_an_entry_is_refused(tmp_path: Path, name: str, method: int) -> None:
    place = zip_with(tmp_path / competition.ARCHIVE, CONTENT, method)
    with zipfile.ZipFile(place) as archive:
        entry = archive.getinfo(name)
    damaged = bytearray(place.read_bytes())
    middle = entry.header_offset + 30 + len(name) + entry.compress_size // 2
    damaged[middle] ^= 1  # in the stored entry this makes one digit another: only the checksum can tell
    place.write_bytes(damaged)
    assert "again" in refusal(place)


@pytest.mark.parametrize("method", [1, 9, 12, 14, 99], ids=["shrunk", "deflate64", "bzip2", "lzma", "AES"])
def test_an_entry_packed_by_another_method_than_it_says_is_refused(tmp_path: Path, method: int) -> None:
    place = zip_with(tmp_path / competition.ARCHIVE, CONTENT)
    damaged = bytearray(place.read_bytes())
    damaged[damaged.index(b"PK\x01\x02") + 10] = method
    place.write_bytes(damaged)
    assert refusal(place).endswith("download it again")


def test_no_changed_byte_in_the_zips_end_gives_other_digits(tmp_path: Path) -> None:
    place = zip_with(tmp_path / competition.ARCHIVE, CONTENT)
    whole = place.read_bytes()
    refused = 0
    for position in range(whole.index(b"PK\x05\x06"), len(whole)):
        damaged = bytearray(whole)
        damaged[position] ^= 0x80
        place.write_bytes(damaged)
        try:
            assert is_the_set(files.read(place))
        except DamagedFile:
            refused += 1
    assert refused > 10


@pytest.mark.parametrize("name", ["train.csv", "test.csv"])
def test_a_zip_without_a_csv_is_refused_by_name(tmp_path: Path, name: str) -> None:
    content = {entry: data for entry, data in CONTENT.items() if entry != name} | {f"inner/{name}": CONTENT[name]}
    said = refusal(zip_with(tmp_path / competition.ARCHIVE, content))
    assert said == f": holds no {name}; download the competition's {competition.ARCHIVE} again"


@pytest.mark.parametrize(
    "entry",
    ["../x.csv", "a/../../x.csv", "/x.csv", "..\\x.csv", "\\x.csv", "C:x.csv", "C:\\x.csv", "\\\\host\\a\\x.csv"],
)
def test_a_zip_with_an_entry_that_climbs_out_is_refused_and_nothing_is_written(tmp_path: Path, entry: str) -> None:
    inner = tmp_path / "data"
    inner.mkdir()
    said = refusal(zip_with(inner / competition.ARCHIVE, CONTENT | {entry: b"x"}))
    assert said == f": entry {entry!r} climbs out of the archive's folder; don't use this file"
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["data", competition.ARCHIVE]


def test_an_encrypted_zip_is_refused(tmp_path: Path) -> None:
    place = zip_with(tmp_path / competition.ARCHIVE, CONTENT)
    marked = place.read_bytes()
    for signature, flags_at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        start = marked.index(signature) + flags_at
        marked = marked[:start] + bytes([marked[start] | 1]) + marked[start + 1 :]
    place.write_bytes(marked)
    said = refusal(place)
    assert said.startswith(": can't be unpacked") and "encrypted" in said


@pytest.mark.parametrize("packed", [True, False], ids=["zip", "folder"])
def test_fewer_test_rows_than_the_sample_submission_asks_for_are_refused(tmp_path: Path, packed: bool) -> None:
    content = CONTENT | {"test.csv": render(TEST_IMAGES[:3])}
    place = zip_with(tmp_path / competition.ARCHIVE, content) if packed else folder_with(tmp_path, content)
    said = refusal(place)
    assert "test.csv: has 3 rows where sample_submission.csv asks for 4" in said
    assert said.endswith("download both again")


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
def test_a_damaged_sample_submission_is_refused_by_name(tmp_path: Path, damaged: bytes, packed: bool) -> None:
    content = CONTENT | {"sample_submission.csv": damaged}
    place = zip_with(tmp_path / competition.ARCHIVE, content) if packed else folder_with(tmp_path, content)
    assert refusal(place).startswith(": sample_submission.csv" if packed else "/sample_submission.csv")


MEASURED_READING = """
import sys
from pathlib import Path
from digit_recognizer import files
read = files.read(files.found(Path(sys.argv[1])))
peak_kb = next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(len(read.train_images), len(read.test_images), read.train_labels.min(), read.train_labels.max(), peak_kb)
"""


@pytest.mark.real
def test_the_real_files_give_all_rows_in_less_than_500_mb(real_data: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", MEASURED_READING, str(real_data)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    train_rows, test_rows, least, most, peak_kb = map(int, done.stdout.split())
    assert (train_rows, test_rows, least, most) == (42_000, 28_000, 0, 9)
    assert peak_kb < 500_000
