"""A submission reads back as written, and a damaged one is refused with its line and a fix."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from digit_recognizer import submission
from digit_recognizer.damage import DamagedFile

PLAIN = submission.render(np.array([2, 0, 9, 9]))

DAMAGED = {
    "empty": (b"", None, "download it again, or give a whole file"),
    "no header": (PLAIN.partition(b"\n")[2], 1, "give a submission file"),
    "other header": (PLAIN.replace(b"ImageId", b"id"), 1, "give a submission file"),
    "columns swapped": (PLAIN.replace(b"ImageId,Label", b"Label,ImageId"), 1, "give a submission file"),
    "semicolons": (PLAIN.replace(b",", b";"), 1, "give a submission file"),
    "web page": (b"<!DOCTYPE html>\n<html></html>\n", None, "download the file again while logged in"),
    "binary": (bytes(range(256)) * 1000, None, "download it again"),
    "header only": (b"ImageId,Label\n", None, "write the file again"),
    "ids from 0": (b"ImageId,Label\n0,2\n1,0\n", 2, "add 1 to every ImageId"),
    "digits instead": (b"pixel0,pixel1\n0,0\n", 1, "give a submission file"),
    "UTF-16": (PLAIN.decode().encode("utf-16"), None, "save it as UTF-8 (in Excel: CSV UTF-8)"),
    "gzip": (gzip.compress(PLAIN, mtime=0), None, "unpack it"),
    "one endless line": (PLAIN + b"5" * 10**7, 6, "the file is damaged, download it again"),
    "a blank line, then ids from 0": (b"\nImageId,Label\n0,2\n", 3, "add 1 to every ImageId"),
    "unsorted": (b"ImageId,Label\n1,2\n3,0\n2,9\n", 3, "sort by ImageId"),
    "repeated id": (b"ImageId,Label\n1,2\n2,0\n2,0\n", 4, "sort by ImageId"),
    "missing id": (b"ImageId,Label\n1,2\n\n3,0\n", 4, "sort by ImageId"),
    "id with a fraction": (PLAIN.replace(b"3,9", b"3.0,9"), 4, "sort by ImageId"),
    "label 10": (PLAIN.replace(b"3,9", b"3,10"), 4, "correct it"),
    "label -1": (PLAIN.replace(b"3,9", b"3,-1"), 4, "correct it"),
    "label 9.0": (PLAIN.replace(b"3,9", b"3,9.0"), 4, "correct it"),
    "label blank": (PLAIN.replace(b"3,9", b"3,"), 4, "correct it"),
    "label in words": (PLAIN.replace(b"3,9", b"3," + b"nine " * 1000), 4, "correct it"),
    "label in another script": (PLAIN.replace(b"3,9", "3,٩".encode()), 4, "correct it"),
    "label not UTF-8": (PLAIN.replace(b"3,9", b"3,\xe9"), 4, "correct it"),
    "cut inside a row": (PLAIN[:-3], 5, "write the file again"),
    "a third value": (PLAIN.replace(b"3,9", b"3,9,0.5"), 4, "write the file again"),
    "open quote": (PLAIN.replace(b"3,9", b'3,"9'), 4, "correct it"),
    "open quote far from the end": (
        submission.render(np.zeros(20_000, np.int64)).replace(b"\n3,0", b'\n3,"0'),
        4,
        "correct it",
    ),
}


@settings(max_examples=30, deadline=None)
@given(labels=st.lists(st.integers(0, 9), min_size=1, max_size=50))
def test_what_render_writes_is_read_back(tmp_path_factory: pytest.TempPathFactory, labels: list[int]) -> None:
    path = tmp_path_factory.getbasetemp() / "rendered submission.csv"
    path.write_bytes(submission.render(np.array(labels)))
    read = submission.read(path)
    assert read.dtype == np.int64 and read.tolist() == labels


def test_ids_count_from_1_and_lines_end_in_lf() -> None:
    assert PLAIN == b"ImageId,Label\n1,2\n2,0\n3,9\n4,9\n"


@pytest.mark.parametrize(
    "content",
    [
        PLAIN.replace(b"\n", b"\r\n"),
        b"\xef\xbb\xbf" + PLAIN,
        PLAIN + b"\r\n\n",
        PLAIN.removesuffix(b"\n"),
        b'"ImageId","Label"\n"1","2"\n"2","0"\n"3","9"\n"4","9"\n',
    ],
    ids=["CRLF", "BOM", "trailing blank lines", "no line end", "quoted fields"],
)
def test_a_legal_variation_reads_as_the_plain_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "submission.csv"
    path.write_bytes(content)
    assert submission.read(path).tolist() == [2, 0, 9, 9]


@pytest.mark.parametrize("damage", DAMAGED)
def test_damage_is_refused_with_line_and_fix(tmp_path: Path, damage: str) -> None:
    content, line, fix = DAMAGED[damage]
    path = tmp_path / "submission.csv"
    path.write_bytes(content)
    with pytest.raises(DamagedFile) as error:
        submission.read(path)
    message = str(error.value)
    assert message.startswith(f"{path}: " if line is None else f"{path} line {line}: ")
    assert message.isprintable() and len(message) < len(str(path)) + 150 and message.endswith(f"; {fix}")
