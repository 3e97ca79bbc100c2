"""Both readers refuse every damaged CSV with the same message, and read every valid one the same."""

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

from digit_recognizer.damage import DamagedFile
from digit_recognizer.files import read_digits
from digit_recognizer.lines import MOST_BLANK_LINES
from digit_recognizer.rows import Parsed, column_names, read_csv, read_rows, render

ROWS = 6
NAMES = column_names(has_label=True)


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
    """The plain file with `change` applied to the values of every line; it also gets the line's number, from 0."""
    lines = [",".join(change(line.split(","), number)) for number, line in enumerate([HEADER, *BODY])]
    return ("\n".join(lines) + "\n").encode()


def with_header(change: Callable[[list[str]], list[str]]) -> bytes:
    return each_line(lambda cells, number: change(cells) if number == 0 else cells)


def with_row(line: int, change: Callable[[list[str]], list[str]]) -> bytes:
    return each_line(lambda cells, number: change(cells) if number == line - 1 else cells)


def swapped(cells: list[str]) -> list[str]:
    return [*cells[:3], cells[4], cells[3], *cells[5:]]


def transposed(content: bytes) -> bytes:
    rows = [line.split(b",") for line in content.splitlines()]
    return b"\n".join(b",".join(column) for column in zip(*rows, strict=True)) + b"\n"


def zipped(content: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("train.csv", content)
    return packed.getvalue()


def read_by_pandas(path: Path, labelled: bool | None) -> Parsed:
    return read_digits(lambda: path.open("rb"), str(path), labelled)


def error_of(path: Path, content: bytes, labelled: bool | None = None) -> str:
    """The message of both readers for a file, without its path."""
    path.write_bytes(content)
    messages = []
    for read in (read_csv, read_by_pandas):
        with pytest.raises(DamagedFile) as error:
            read(path, labelled)
        messages.append(str(error.value))
    assert messages[0] == messages[1]
    assert messages[0].startswith(str(path))
    message = messages[0].removeprefix(str(path))
    assert message.isprintable() and len(message) < 250
    return message


AGAIN = "download it again"
NAMES_AND_ORDER = "restore names and order"
ROW = "download the file again"

DAMAGED_WHOLLY = {
    "empty": (b"", ": is empty", AGAIN),
    "header only": (HEADER.encode() + b"\n", ": has a header but no rows", AGAIN),
    "header only, CRLF and blank lines": (HEADER.encode() + b"\r\n\r\n\r\n", ": has a header but no rows", AGAIN),
    "header only, cut": (HEADER.encode(), ": the last line has no line end", AGAIN),
    "a blank line first": (b"\n" + PLAIN, " line 1: must be the header, got a blank line", "start the file with"),
    "no header": ("\n".join([*BODY, ""]).encode(), " line 1: must be the header, got numbers", "start the file with"),
    "web page": (b"<!DOCTYPE html>\n<html><title>Login</title></html>\n", ": is a web page", "while logged in"),
    "web page after a BOM and blank lines": (b"\xef\xbb\xbf\r\n <html></html>\n", ": is a web page", "while logged in"),
    "refusal in JSON": (b'{"code":403,"message":"Forbidden"}\n', ": is JSON", "while logged in"),
    "a comment first": (b"# digits\n" + PLAIN, " line 1: must be the header, got a comment", "start the file"),
    "transposed": (transposed(PLAIN), " line 1: has numbers for names, as a transposed", "one row per digit, and"),
    "transposed, with row numbers": (
        b",0,1,2,3,4,5\n" + transposed(PLAIN),
        " line 1: has numbers for names, as a transposed",
        "write one row per digit, and start the file with",
    ),
    "sep=;": (b"sep=;\n" + PLAIN.replace(b",", b";"), " line 1: must be separated by commas", "with commas"),
    "sep=, alone": (b"sep=,\n", " line 2: must be the header, got a blank line", "start the file with"),
    "zip": (zipped(PLAIN), ": is a zip archive", "unpack it"),
    "gzip": (gzip.compress(PLAIN, mtime=0), ": is a gzip archive, not a CSV", "unpack it"),
    "NUL bytes": (bytes(5000), ": line 1 has NUL bytes", AGAIN),
    "UTF-16": (PLAIN.decode().encode("utf-16"), ": is text in UTF-16", "save it as UTF-8"),
    "one endless line": (b"x" * 100_000, " line 1: column 1 must be 'pixel0', got 'xxxx", NAMES_AND_ORDER),
    "semicolons": (PLAIN.replace(b",", b";"), " line 1: must be separated by commas", "save the file with commas"),
    "tabs": (PLAIN.replace(b",", b"\t"), " line 1: must be separated by commas", "save the file with commas"),
    "bare carriage returns": (PLAIN.replace(b"\n", b"\r"), " line 1: has bare carriage", "save the file with LF"),
}  # fmt: skip

DAMAGED_COLUMNS = {
    "missing": (each_line(lambda cells, _: cells[:8] + cells[9:]), "'pixel7' is missing", "add it back"),
    "missing in the header alone": (with_header(lambda cells: cells[:-1]), "'pixel783' is missing", "add it back"),
    "extra at the end": (
        each_line(lambda cells, number: [*cells, "split" if number == 0 else "1"]),
        "786 'split' is not expected",
        "remove it",
    ),
    "comma after every line": (
        each_line(lambda cells, _: [*cells, ""]),
        "786 '' is not expected",
        "remove it",
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
        with_header(lambda cells: [*cells[:9], "Pixel 8", *cells[10:]]),
        "10 must be 'pixel8', got 'Pixel 8'",
        NAMES_AND_ORDER,
    ),
    "renamed label": (
        with_header(lambda cells: ["digit", *cells[1:]]),
        "1 'digit' is not expected",
        "remove it",
    ),
    "permuted": (
        each_line(lambda cells, _: swapped(cells)),
        "4 must be 'pixel2', got 'pixel3'",
        NAMES_AND_ORDER,
    ),
    "label last": (
        each_line(lambda cells, _: [*cells[1:], cells[0]]),
        "1 must be 'label', got 'pixel0'",
        NAMES_AND_ORDER,
    ),
    "leading index": (
        each_line(lambda cells, number: ["" if number == 0 else str(number - 1), *cells]),
        "1 '' is not expected",
        "remove it",
    ),
}

DAMAGED_ROWS = {
    "short": (with_row(4, lambda cells: cells[:-1]), "must have 785 values, got 784", ROW),
    "long": (with_row(4, lambda cells: [*cells, "0"]), "must have 785 values, got 786", ROW),
    "all long": (
        each_line(lambda cells, number: [*cells, "0"] if number >= 3 else cells),
        "must have 785 values, got 786",
        ROW,
    ),
    "cut, then whole ones": (with_row(4, lambda cells: cells[:100]), "must have 785 values, got 100", ROW),
    "semicolons in it": (with_row(4, lambda cells: [";".join(cells)]), "must have 785 values, got 1", ROW),
    "a line of a web page in it": (with_row(4, lambda _: ["<p>gone</p>"]), "must have 785 values, got 1", ROW),
    "file cut between numbers": (
        ("\n".join([HEADER, *BODY[:2], BODY[2][:900].rpartition(",")[0]])).encode(),
        "must have 785 values, got",
        ROW,
    ),
    "open quote": (with_cell(4, "pixel4", '"1'), "cannot be split into values", "correct it"),
}

DAMAGED_CELLS = {
    "blank": ("", "a blank"),
    "spaces": ("  ", "a blank"),
    "empty quotes": ('""', "a blank"),
    "NaN": ("NaN", "'NaN'"),
    "NA": ("NA", "'NA'"),
    "256": ("256", "'256'"),
    "257, which is 1 as uint8": ("257", "'257'"),
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
    "2**64 + 1, which overflows to 1": ("18446744073709551617", "'18446744073709551617'"),
    "400 digits": ("9" * 400, "'99999999999999999999'..."),
    "digit of another script": ("٣", "'٣'"),
    "character that crashes numpy's parser": ("\U0010ffff", "'\\U0010ffff'"),
    "byte that is not UTF-8": (b"\xe9", "'\ufffd'"),
    "NUL byte": (b"1\x002", "'1\\x002'"),
}


@pytest.mark.parametrize("damage", DAMAGED_WHOLLY)
def test_another_kind_of_file_is_named(tmp_path: Path, damage: str) -> None:
    content, what, fix = DAMAGED_WHOLLY[damage]
    message = error_of(tmp_path / "digits.csv", content)
    assert message.startswith(what) and fix in message


@pytest.mark.parametrize("damage", DAMAGED_COLUMNS)
def test_damaged_columns_are_named(tmp_path: Path, damage: str) -> None:
    content, what, fix = DAMAGED_COLUMNS[damage]
    message = error_of(tmp_path / "digits.csv", content)
    assert message.startswith(f" line 1: column {what}") and message.partition(";")[2].strip() == fix


@pytest.mark.parametrize(("labelled", "change"), [(True, slice(1, None)), (False, slice(None))])
def test_train_and_test_csv_are_told_apart(tmp_path: Path, labelled: bool, change: slice) -> None:
    message = error_of(tmp_path / "digits.csv", each_line(lambda cells, _: cells[change]), labelled)
    assert "column 'label'" in message and message.startswith(" line 1: has") and message.endswith("?")


@pytest.mark.parametrize("damage", DAMAGED_ROWS)
def test_a_damaged_row_is_named_by_its_line(tmp_path: Path, damage: str) -> None:
    content, what, fix = DAMAGED_ROWS[damage]
    message = error_of(tmp_path / "digits.csv", content)
    assert message.startswith(" line 4: ") and what in message and message.endswith(fix)


@pytest.mark.parametrize("end", [0, 1], ids=["after the number", "inside the number"])
def test_a_file_cut_at_its_last_number_is_refused(tmp_path: Path, end: int) -> None:
    whole = with_cell(ROWS + 1, "pixel783", "137").removesuffix(b"\n")
    message = error_of(tmp_path / "digits.csv", whole[: len(whole) - end])
    assert message.startswith(": the last line has no line end") and AGAIN in message


@pytest.mark.parametrize("damage", DAMAGED_CELLS)
def test_a_damaged_pixel_is_named_by_line_and_column(tmp_path: Path, damage: str) -> None:
    cell, quoted = DAMAGED_CELLS[damage]
    message = error_of(tmp_path / "digits.csv", with_cell(4, "pixel403", cell))
    assert message == f" line 4, column 'pixel403': must be an integer 0..255, got {quoted}; correct it"


@pytest.mark.parametrize("label", ["10", "-1", "5.5", "", "NaN", "five"])
def test_a_damaged_label_is_named_by_line_and_column(tmp_path: Path, label: str) -> None:
    message = error_of(tmp_path / "digits.csv", with_cell(3, "label", label))
    got = repr(label) if label else "a blank"
    assert message == f" line 3, column 'label': must be an integer 0..9, got {got}; correct it"


def test_an_endless_number_is_refused(tmp_path: Path) -> None:
    message = error_of(tmp_path / "digits.csv", with_cell(4, "pixel4", "9" * 200_000))
    assert message.startswith(" line 4: is longer than 32,768 bytes") and message.endswith("download it again")


@pytest.mark.parametrize("blank", [b"\n", b" \t\r\n"])
def test_a_file_of_blank_lines_is_refused(tmp_path: Path, blank: bytes) -> None:
    message = error_of(tmp_path / "digits.csv", PLAIN + 10 * MOST_BLANK_LINES * blank)
    assert message == f" line {ROWS + 1 + MOST_BLANK_LINES + 1}: is one of too many blank lines; remove them"


def test_a_nul_far_down_is_named(tmp_path: Path, long_file: bytes) -> None:
    """pandas 2 reads 7 NUL 7 as 7."""
    message = error_of(tmp_path / "digits.csv", with_cell(2050, "pixel5", b"7\x007", long_file))
    assert message == " line 2050, column 'pixel5': must be an integer 0..255, got '7\\x007'; correct it"


@pytest.fixture(scope="module")
def long_file() -> bytes:
    """A file longer than both readers' blocks."""
    return render(sparse_images(2100), np.arange(2100) % 10)


@pytest.mark.parametrize("line", [1026, 2050, 2053])
def test_damage_far_down_is_named_by_its_line(tmp_path: Path, long_file: bytes, line: int) -> None:
    message = error_of(tmp_path / "digits.csv", with_cell(line, "pixel9", "256", long_file))
    assert message == f" line {line}, column 'pixel9': must be an integer 0..255, got '256'; correct it"


def test_blank_lines_count_in_the_line_number(tmp_path: Path, long_file: bytes) -> None:
    damaged = with_cell(2050, "pixel9", "-1", long_file).replace(b"\n", b"\n\r\n", 3)
    assert error_of(tmp_path / "digits.csv", damaged).startswith(" line 2053, column 'pixel9': must be")


def test_a_row_cut_far_down_is_named_by_its_line(tmp_path: Path, long_file: bytes) -> None:
    lines = long_file.split(b"\n")
    lines[2050] = lines[2050].rpartition(b",")[0]
    message = error_of(tmp_path / "digits.csv", b"\n".join(lines))
    assert message.startswith(" line 2051: must have 785 values, got 784")


VALID = {
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
    "Label with a capital": PLAIN.replace(b"label", b"Label", 1),
    "capitals": with_header(lambda cells: [cell.upper() for cell in cells]),
    "Excel's sep=,": b"sep=,\r\n" + PLAIN,
    "Excel's sep=, after a BOM, quoted": b'\xef\xbb\xbf"sep=,"\n' + PLAIN,
    "digits as NumPy writes them": each_line(
        lambda cells, n: [f"{float(cell):.18e}" for cell in cells] if n else cells
    ),
    "spaces around values": each_line(lambda cells, _: [f" {cell} " for cell in cells]),
}


@pytest.mark.parametrize("variation", VALID)
def test_a_valid_variation_reads_as_the_plain_file(tmp_path: Path, variation: str) -> None:
    path = tmp_path / "digits.csv"
    path.write_bytes(VALID[variation])
    assert VALID[variation] != PLAIN
    for images, labels in (read_csv(path, labelled=True), read_by_pandas(path, None)):
        assert images.dtype == np.uint8 and labels is not None and labels.dtype == np.int64
        np.testing.assert_array_equal(images, IMAGES)
        np.testing.assert_array_equal(labels, LABELS)


def test_a_valid_variation_far_down_reads_the_same(tmp_path: Path, long_file: bytes) -> None:
    path = tmp_path / "digits.csv"
    path.write_bytes(with_cell(2053, "pixel406", '"255.0"', long_file))
    for images, labels in (read_csv(path), read_by_pandas(path, None)):
        np.testing.assert_array_equal(images, sparse_images(2100))
        np.testing.assert_array_equal(labels, np.arange(2100) % 10)


def test_duplicate_rows_are_all_kept(tmp_path: Path) -> None:
    path = tmp_path / "digits.csv"
    path.write_bytes("\n".join([HEADER, *BODY, *BODY[:3], ""]).encode())
    for images, labels in (read_csv(path), read_by_pandas(path, None)):
        np.testing.assert_array_equal(images, np.concatenate([IMAGES, IMAGES[:3]]))
        np.testing.assert_array_equal(labels, [*LABELS, *LABELS[:3]])


def test_a_missing_file_raises_file_not_found(tmp_path: Path) -> None:
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
def test_any_single_damaged_cell_is_located(line: int, column: str, cell: str) -> None:
    content = with_cell(line, column, cell)
    for read in (read_rows, read_digits):
        with pytest.raises(DamagedFile) as error:
            read(lambda: io.BytesIO(content), "digits.csv", None)
        assert str(error.value).startswith(f"digits.csv line {line}, column '{column}': must be ")


@settings(max_examples=25, deadline=None)
@given(
    line=st.integers(2, ROWS + 1),
    column=st.sampled_from(NAMES),
    cell=st.one_of(st.text(max_size=4), st.text("0129.+-eE\"_, \t\r\n'\0naif", max_size=5)),
)
def test_the_readers_agree_on_any_cell(line: int, column: str, cell: str) -> None:
    content = with_cell(line, column, cell)
    outcomes = []
    for read in (read_rows, read_digits):
        try:
            images, labels = read(lambda: io.BytesIO(content), "digits.csv", None)
            outcomes.append(images.tobytes() + (b"" if labels is None else labels.tobytes()))
        except DamagedFile as error:
            outcomes.append(str(error).encode())
    assert outcomes[0] == outcomes[1]


SMALL = render(IMAGES[:2], LABELS[:2])
PIECES = st.one_of(
    st.binary(max_size=4),
    st.text('0129.,-+eE"\r\n \t;', max_size=6).map(str.encode),
    st.sampled_from([b"\n", b"\r\n", b"\r", b",", b'"', b"\xef\xbb\xbf", b"\x00", b"256", b"nan", b"<html>", SMALL]),
)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A small file after cuts, insertions and replacements, or random bytes."""
    content = SMALL
    for _ in range(draw(st.integers(1, 4))):
        first = draw(st.integers(0, len(content)))
        last = draw(st.sampled_from([first, first + 1, first + 4, len(content)]))
        content = content[:first] + draw(PIECES) + content[last:]
    return draw(st.sampled_from([content, content[::-1], draw(st.binary(max_size=300))]))


def plain_reading(content: bytes) -> tuple[list[list[int]], bool]:
    """The numbers in an accepted file, read as simply as possible, and whether it has labels."""
    header, *lines = csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""))
    return [[int(float(cell)) for cell in line] for line in lines if any(map(str.strip, line))], "label" in header[0]


@settings(max_examples=150, deadline=None)
@given(content=damaged(), labelled=st.sampled_from([True, False, None]))
def test_any_damage_is_refused_or_read_literally(content: bytes, labelled: bool | None) -> None:
    outcomes = []
    for read in (read_rows, read_digits):
        try:
            images, labels = read(lambda: io.BytesIO(content), "digits.csv", labelled)
        except DamagedFile as error:
            outcomes.append(str(error))
            continue
        expected, has_label = plain_reading(content)
        assert (labels is not None) == has_label and labelled in (None, has_label)
        assert images.dtype == np.uint8
        assert images.reshape(len(expected), -1).tolist() == [row[has_label:] for row in expected]
        assert labels is None or labels.tolist() == [row[0] for row in expected]
        outcomes.append("read")
    assert outcomes[0] == outcomes[1]
