"""Every damaged CSV is refused in one sentence by both readers alike, every legal one is read alike."""

from __future__ import annotations

import csv
import gzip
import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from digit_recognizer.files import read_digits
from digit_recognizer.rows import DamagedFile, Parsed, columns, read_csv, read_rows, render

ROWS = 6
NAMES = columns(has_label=True)


def sparse_images(n: int) -> npt.NDArray[np.uint8]:
    rng = np.random.default_rng(n)
    images = np.zeros((n, 28, 28), np.uint8)
    images[:, 4:24, 4:24] = rng.integers(0, 256, (n, 20, 20)) * (rng.random((n, 20, 20)) < 0.2)
    images[:, 14, 14] = 255
    return images


IMAGES, LABELS = sparse_images(ROWS), np.arange(ROWS)
PLAIN = render(IMAGES, LABELS)
HEADER, *BODY = PLAIN.decode().splitlines()


def with_cell(line: int, column: str, cell: str | bytes, plain: bytes = PLAIN) -> bytes:
    lines = plain.split(b"\n")
    cells = lines[line - 1].split(b",")
    cells[NAMES.index(column)] = cell.encode() if isinstance(cell, str) else cell
    lines[line - 1] = b",".join(cells)
    return b"\n".join(lines)


def each_line(change: Callable[[list[str], int], list[str]]) -> bytes:
    """The plain file with `change` applied to the values of every line; it is told the line, from 0."""
    lines = [",".join(change(line.split(","), number)) for number, line in enumerate([HEADER, *BODY])]
    return ("\n".join(lines) + "\n").encode()


def with_header(change: Callable[[list[str]], list[str]]) -> bytes:
    return each_line(lambda cells, number: change(cells) if number == 0 else cells)


def with_row(line: int, change: Callable[[list[str]], list[str]]) -> bytes:
    return each_line(lambda cells, number: change(cells) if number == line - 1 else cells)


def swapped(cells: list[str]) -> list[str]:
    return [*cells[:3], cells[4], cells[3], *cells[5:]]


def zipped(content: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("train.csv", content)
    return packed.getvalue()


def read_by_pandas(path: Path, labelled: bool | None) -> Parsed:
    return read_digits(lambda: path.open("rb"), str(path), labelled)


def refusal(path: Path, content: bytes, labelled: bool | None = None) -> str:
    """What both readers say against a file, which must be the same."""
    path.write_bytes(content)
    sentences = []
    for read in (read_csv, read_by_pandas):
        with pytest.raises(DamagedFile) as caught:
            read(path, labelled)
        sentences.append(str(caught.value))
    assert sentences[0] == sentences[1]
    assert sentences[0].startswith(str(path))
    said = sentences[0].removeprefix(str(path))
    assert said.isprintable() and len(said) < 250
    return said


WHOLE = "where a whole number 0..255 belongs; correct it"
AGAIN = "download it again"
ROW = "download the file again"

DAMAGED_WHOLLY = {
    "empty": (b"", ": is empty", AGAIN),
    "header only": (HEADER.encode() + b"\n", ": holds a header but no rows", AGAIN),
    "header only, CRLF and blank lines": (HEADER.encode() + b"\r\n\r\n\r\n", ": holds a header but no rows", AGAIN),
    "header only, cut": (HEADER.encode(), ": the last line has no line end", AGAIN),
    "a blank line first": (b"\n" + PLAIN, " line 1: is blank where the header belongs", "begin the file with"),
    "no header": ("\n".join([*BODY, ""]).encode(), " line 1: holds numbers", "begin the file with"),
    "web page": (b"<!DOCTYPE html>\n<html><title>Login</title></html>\n", ": is a web page", "while logged in"),
    "web page after a BOM and blank lines": (b"\xef\xbb\xbf\r\n <html></html>\n", ": is a web page", "while logged in"),
    "refusal in JSON": (b'{"code":403,"message":"Forbidden"}\n', " line 1: column 1 is", "restore names and order"),
    "zip": (zipped(PLAIN), ": is a zip archive", "unpack it"),
    "gzip": (gzip.compress(PLAIN, mtime=0), ": line 1 holds NUL bytes", AGAIN),
    "NUL bytes": (bytes(5000), ": line 1 holds NUL bytes", AGAIN),
    "UTF-16": (PLAIN.decode().encode("utf-16"), ": line 1 holds NUL bytes", AGAIN),
    "one endless line": (b"x" * 100_000, " line 1: column 1 is 'xxxxxxxxxxxxxxxxxxxx'...", "restore names and order"),
    "semicolons": (PLAIN.replace(b",", b";"), " line 1: is not separated by commas", "save the file with commas"),
    "tabs": (PLAIN.replace(b",", b"\t"), " line 1: is not separated by commas", "save the file with commas"),
    "bare carriage returns": (PLAIN.replace(b"\n", b"\r"), " line 1: holds bare carriage", "save the file with LF"),
}  # fmt: skip

DAMAGED_COLUMNS = {
    "missing": (each_line(lambda cells, _: cells[:8] + cells[9:]), "'pixel7' is missing", "add it back"),
    "missing in the header alone": (with_header(lambda cells: cells[:-1]), "'pixel783' is missing", "add it back"),
    "extra at the end": (
        each_line(lambda cells, number: [*cells, "split" if number == 0 else "1"]),
        "786 'split' does not belong",
        "remove that column",
    ),
    "comma after every line": (
        each_line(lambda cells, _: [*cells, ""]),
        "786 '' does not belong",
        "remove that column",
    ),
    "duplicated at the end": (
        each_line(lambda cells, _: [*cells, cells[5]]),
        "786 repeats 'pixel4'",
        "remove one of the two",
    ),
    "duplicated over another": (
        each_line(lambda cells, _: [*cells[:9], cells[5], *cells[10:]]),
        "10 repeats 'pixel4'",
        "remove one of the two",
    ),
    "renamed": (
        with_header(lambda cells: [*cells[:9], "Pixel8", *cells[10:]]),
        "10 is 'Pixel8' where 'pixel8' belongs",
        "restore names and order",
    ),
    "renamed label": (
        with_header(lambda cells: ["digit", *cells[1:]]),
        "1 'digit' does not belong",
        "remove that column",
    ),
    "permuted": (
        each_line(lambda cells, _: swapped(cells)),
        "4 is 'pixel3' where 'pixel2' belongs",
        "restore names and order",
    ),
    "label last": (
        each_line(lambda cells, _: [*cells[1:], cells[0]]),
        "1 is 'pixel0' where 'label' belongs",
        "restore names and order",
    ),
    "leading index": (
        each_line(lambda cells, number: ["" if number == 0 else str(number - 1), *cells]),
        "1 '' does not belong",
        "remove that column",
    ),
}

DAMAGED_ROWS = {
    "short": (with_row(4, lambda cells: cells[:-1]), "has 784 values where 785 belong", ROW),
    "long": (with_row(4, lambda cells: [*cells, "0"]), "has 786 values where 785 belong", ROW),
    "all long": (
        each_line(lambda cells, number: [*cells, "0"] if number >= 3 else cells),
        "has 786 values where 785 belong",
        ROW,
    ),
    "cut, then whole ones": (with_row(4, lambda cells: cells[:100]), "has 100 values where 785 belong", ROW),
    "semicolons in it": (with_row(4, lambda cells: [";".join(cells)]), "has 1 values where 785 belong", ROW),
    "a web page's line in it": (with_row(4, lambda _: ["<p>gone</p>"]), "has 1 values where 785 belong", ROW),
    "file cut between numbers": (
        ("\n".join([HEADER, *BODY[:2], BODY[2][:900].rpartition(",")[0]])).encode(),
        "values where 785 belong",
        ROW,
    ),
    "open quote": (with_cell(4, "pixel4", '"1'), "can't be split into values", "correct it"),
}

DAMAGED_CELLS = {
    "blank": ("", "blank"),
    "spaces": ("  ", "blank"),
    "empty quotes": ('""', "blank"),
    "NaN": ("NaN", "'NaN'"),
    "NA": ("NA", "'NA'"),
    "256": ("256", "'256'"),
    "257, which uint8 takes for 1": ("257", "'257'"),
    "-1": ("-1", "'-1'"),
    "0.5": ("0.5", "'0.5'"),
    "254.9999": ("254.9999", "'254.9999'"),
    "text": ("seven", "'seven'"),
    "long text": ("seven " * 200, "'seven seven seven se'..."),
    "true": ("True", "'True'"),
    "hexadecimal": ("0x10", "'0x10'"),
    "underscore": ("1_0", "'1_0'"),
    "infinite": ("inf", "'inf'"),
    "1e400": ("1e400", "'1e400'"),
    "2**64 + 1, which wraps to 1": ("18446744073709551617", "'18446744073709551617'"),
    "400 digits": ("9" * 400, "'99999999999999999999'..."),
    "other script's digit": ("٣", "'٣'"),
    "character on which numpy's parser crashes": ("\U0010ffff", "'\\U0010ffff'"),
    "byte that is not UTF-8": (b"\xe9", "'\ufffd'"),
    "NUL byte": (b"1\x002", "'1\\x002'"),
}


@pytest.mark.parametrize("damage", DAMAGED_WHOLLY)
def test_a_file_that_is_something_else_is_named_for_what_it_is(tmp_path: Path, damage: str) -> None:
    content, what, mend = DAMAGED_WHOLLY[damage]
    said = refusal(tmp_path / "digits.csv", content)
    assert said.startswith(what) and mend in said


@pytest.mark.parametrize("damage", DAMAGED_COLUMNS)
def test_damaged_columns_are_named(tmp_path: Path, damage: str) -> None:
    content, what, mend = DAMAGED_COLUMNS[damage]
    said = refusal(tmp_path / "digits.csv", content)
    assert said.startswith(f" line 1: column {what}") and said.partition(";")[2].strip() == mend


@pytest.mark.parametrize(("labelled", "change"), [(True, slice(1, None)), (False, slice(None))])
def test_train_and_test_csv_are_not_taken_for_each_other(tmp_path: Path, labelled: bool, change: slice) -> None:
    said = refusal(tmp_path / "digits.csv", each_line(lambda cells, _: cells[change]), labelled)
    assert "column 'label'" in said and said.startswith(" line 1: has") and said.endswith("?")


@pytest.mark.parametrize("damage", DAMAGED_ROWS)
def test_a_damaged_row_is_named_by_its_line(tmp_path: Path, damage: str) -> None:
    content, what, mend = DAMAGED_ROWS[damage]
    said = refusal(tmp_path / "digits.csv", content)
    assert said.startswith(" line 4: ") and what in said and said.endswith(mend)


@pytest.mark.parametrize("end", [0, 1], ids=["after the number", "inside the number"])
def test_a_file_cut_at_its_last_number_is_refused(tmp_path: Path, end: int) -> None:
    whole = with_cell(ROWS + 1, "pixel783", "137").removesuffix(b"\n")
    said = refusal(tmp_path / "digits.csv", whole[: len(whole) - end])
    assert said.startswith(": the last line has no line end") and AGAIN in said


@pytest.mark.parametrize("damage", DAMAGED_CELLS)
def test_a_damaged_pixel_is_named_by_line_and_column(tmp_path: Path, damage: str) -> None:
    cell, shown = DAMAGED_CELLS[damage]
    said = refusal(tmp_path / "digits.csv", with_cell(4, "pixel403", cell))
    assert said == f" line 4, column 'pixel403': is {shown} {WHOLE}"


@pytest.mark.parametrize("label", ["10", "-1", "5.5", "", "NaN", "five"])
def test_a_damaged_label_is_named_by_line_and_column(tmp_path: Path, label: str) -> None:
    said = refusal(tmp_path / "digits.csv", with_cell(3, "label", label))
    shown = repr(label) if label else "blank"
    assert said == f" line 3, column 'label': is {shown} where a whole number 0..9 belongs; correct it"


def test_a_number_without_end_is_refused(tmp_path: Path) -> None:
    said = refusal(tmp_path / "digits.csv", with_cell(4, "pixel4", "9" * 200_000))
    assert said.startswith(" line 4: can't be split into values") and said.endswith("correct it")


@pytest.fixture(scope="module")
def deep() -> bytes:
    """A file longer than both readers take in at once."""
    return render(sparse_images(2100), np.arange(2100) % 10)


@pytest.mark.parametrize("line", [1026, 2050, 2053])
def test_damage_deep_in_a_file_is_named_by_its_line(tmp_path: Path, deep: bytes, line: int) -> None:
    said = refusal(tmp_path / "digits.csv", with_cell(line, "pixel9", "256", deep))
    assert said == f" line {line}, column 'pixel9': is '256' {WHOLE}"


def test_blank_lines_count_as_lines_when_damage_is_named(tmp_path: Path, deep: bytes) -> None:
    damaged = with_cell(2050, "pixel9", "-1", deep).replace(b"\n", b"\n\r\n", 3)
    assert refusal(tmp_path / "digits.csv", damaged).startswith(" line 2053, column 'pixel9': is '-1'")


def test_a_row_cut_deep_in_a_file_is_named_by_its_line(tmp_path: Path, deep: bytes) -> None:
    lines = deep.split(b"\n")
    lines[2050] = lines[2050].rpartition(b",")[0]
    said = refusal(tmp_path / "digits.csv", b"\n".join(lines))
    assert said.startswith(" line 2051: has 784 values where 785 belong")


LEGAL = {
    "CRLF": PLAIN.replace(b"\n", b"\r\n"),
    "LF and CRLF mixed": PLAIN.replace(b"\n", b"\r\n", 3),
    "BOM": b"\xef\xbb\xbf" + PLAIN,
    "BOM and CRLF": b"\xef\xbb\xbf" + PLAIN.replace(b"\n", b"\r\n"),
    "quoted header": each_line(lambda cells, number: [f'"{cell}"' for cell in cells] if number == 0 else cells),
    "quoted fields": each_line(lambda cells, _: [f'"{cell}"' for cell in cells]),
    "BOM and quoted fields": b"\xef\xbb\xbf" + each_line(lambda cells, _: [f'"{cell}"' for cell in cells]),
    "some fields quoted": each_line(lambda cells, number: [f'"{cells[0]}"', *cells[1:]] if number > 2 else cells),
    "a trailing blank line": PLAIN + b"\n",
    "many trailing blank lines": PLAIN + b"\r\n \n\n" * 3,
    "255.0": b",".join(b"255.0" if cell == b"255" else cell for cell in PLAIN.split(b",")),
    "every value with .0": each_line(lambda cells, number: [f"{cell}.0" for cell in cells] if number else cells),
    "spaces around values": each_line(lambda cells, _: [f" {cell} " for cell in cells]),
}


@pytest.mark.parametrize("variation", LEGAL)
def test_a_legal_variation_reads_as_the_plain_file(tmp_path: Path, variation: str) -> None:
    path = tmp_path / "digits.csv"
    path.write_bytes(LEGAL[variation])
    assert LEGAL[variation] != PLAIN
    for images, labels in (read_csv(path, labelled=True), read_by_pandas(path, None)):
        assert images.dtype == np.uint8 and labels is not None and labels.dtype == np.int64
        np.testing.assert_array_equal(images, IMAGES)
        np.testing.assert_array_equal(labels, LABELS)


def test_a_legal_variation_deep_in_a_file_reads_as_the_plain_file(tmp_path: Path, deep: bytes) -> None:
    path = tmp_path / "digits.csv"
    path.write_bytes(with_cell(2053, "pixel406", '"255.0"', deep))
    for images, labels in (read_csv(path), read_by_pandas(path, None)):
        np.testing.assert_array_equal(images, sparse_images(2100))
        np.testing.assert_array_equal(labels, np.arange(2100) % 10)


def test_duplicate_rows_are_all_kept(tmp_path: Path) -> None:
    path = tmp_path / "digits.csv"
    path.write_bytes("\n".join([HEADER, *BODY, *BODY[:3], ""]).encode())
    for images, labels in (read_csv(path), read_by_pandas(path, None)):
        np.testing.assert_array_equal(images, np.concatenate([IMAGES, IMAGES[:3]]))
        np.testing.assert_array_equal(labels, [*LABELS, *LABELS[:3]])


def test_a_file_that_is_not_there_is_an_error_of_the_system(tmp_path: Path) -> None:
    for read in (read_csv, read_by_pandas):
        with pytest.raises(FileNotFoundError, match=r"digits\.csv"):
            read(tmp_path / "digits.csv", None)


IMAGE_BATCHES = st.integers(1, 4).flatmap(lambda n: arrays(np.uint8, (n, 28, 28)))


@settings(max_examples=20, deadline=None)
@given(images=IMAGE_BATCHES, data=st.data(), labelled=st.booleans())
def test_what_render_writes_is_read_back(images: npt.NDArray[np.uint8], data: st.DataObject, labelled: bool) -> None:
    n = len(images)
    labels = np.array(data.draw(st.lists(st.integers(0, 9), min_size=n, max_size=n))) if labelled else None
    content = render(images, labels)
    for read in (read_rows, read_digits):
        read_images, read_labels = read(lambda: io.BytesIO(content), "digits.csv", labelled)
        np.testing.assert_array_equal(read_images, images)
        np.testing.assert_array_equal(read_labels, labels)


NOT_A_CELL = st.one_of(
    st.integers(max_value=-1).map(str),
    st.integers(min_value=256).map(str),
    st.floats(0, 255).filter(lambda number: not number.is_integer()).map(repr),
    st.text("abcxyz?!#/ ", max_size=5),
)


@settings(max_examples=25, deadline=None)
@given(line=st.integers(2, ROWS + 1), column=st.sampled_from(NAMES), cell=NOT_A_CELL)
def test_any_single_damaged_cell_is_found_at_its_place(line: int, column: str, cell: str) -> None:
    content = with_cell(line, column, cell)
    for read in (read_rows, read_digits):
        with pytest.raises(DamagedFile) as caught:
            read(lambda: io.BytesIO(content), "digits.csv", None)
        assert str(caught.value).startswith(f"digits.csv line {line}, column '{column}': is ")


@settings(max_examples=25, deadline=None)
@given(
    line=st.integers(2, ROWS + 1),
    column=st.sampled_from(NAMES),
    cell=st.one_of(st.text(max_size=4), st.text("0129.+-eE\"_, \t\r\n'\0naif", max_size=5)),
)
def test_the_readers_agree_whatever_a_cell_holds(line: int, column: str, cell: str) -> None:
    content = with_cell(line, column, cell)
    outcomes = []
    for read in (read_rows, read_digits):
        try:
            images, labels = read(lambda: io.BytesIO(content), "digits.csv", None)
            outcomes.append(images.tobytes() + (b"" if labels is None else labels.tobytes()))
        except DamagedFile as refused:
            outcomes.append(str(refused).encode())
    assert outcomes[0] == outcomes[1]


SMALL = render(IMAGES[:2], LABELS[:2])
PIECES = st.one_of(
    st.binary(max_size=4),
    st.text('0129.,-+eE"\r\n \t;', max_size=6).map(str.encode),
    st.sampled_from([b"\n", b"\r\n", b"\r", b",", b'"', b"\xef\xbb\xbf", b"\x00", b"256", b"nan", b"<html>", SMALL]),
)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A small file after some cuts, insertions and exchanges, or bytes of no file at all."""
    content = SMALL
    for _ in range(draw(st.integers(1, 4))):
        first = draw(st.integers(0, len(content)))
        last = draw(st.sampled_from([first, first + 1, first + 4, len(content)]))
        content = content[:first] + draw(PIECES) + content[last:]
    return draw(st.sampled_from([content, content[::-1], draw(st.binary(max_size=300))]))


def as_it_says(content: bytes) -> tuple[list[list[int]], bool]:
    """The numbers that stand in a file that was accepted, by the plainest reading, and whether it has labels."""
    header, *lines = csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""))
    return [[int(float(cell)) for cell in line] for line in lines if any(map(str.strip, line))], "label" in header[0]


@settings(max_examples=150, deadline=None)
@given(content=damaged(), labelled=st.sampled_from([True, False, None]))
def test_any_damage_is_refused_or_read_as_it_stands(content: bytes, labelled: bool | None) -> None:
    outcomes = []
    for read in (read_rows, read_digits):
        try:
            images, labels = read(lambda: io.BytesIO(content), "digits.csv", labelled)
        except DamagedFile as refused:
            outcomes.append(str(refused))
            continue
        said, has_label = as_it_says(content)
        assert (labels is not None) == has_label and labelled in (None, has_label)
        assert images.dtype == np.uint8 and images.reshape(len(said), -1).tolist() == [row[has_label:] for row in said]
        assert labels is None or labels.tolist() == [row[0] for row in said]
        outcomes.append("read")
    assert outcomes[0] == outcomes[1]
