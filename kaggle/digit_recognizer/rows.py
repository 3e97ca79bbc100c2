"""The CSV format of digits, and a reader that checks every cell.

The competition's files have one digit per row: optionally `label` (0..9), then `pixel0` ... `pixel783`
(0..255, row by row from the top left, 0 = background). This reader needs numpy alone. `files` parses faster,
with pandas, and leaves every doubtful block of lines to this one, so both give the same errors.
"""

from __future__ import annotations

import csv
import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Final

import numpy as np
import numpy.typing as npt

from digit_recognizer.damage import DamagedFile, quoted
from digit_recognizer.lines import LONGEST_LINE, Opener, numbered_lines, open_stream

SIDE: Final = 28
LABEL: Final = "label"
PIXELS: Final = tuple(f"pixel{i}" for i in range(SIDE * SIDE))
LINES_PER_BLOCK: Final = 2048  # limits memory to about 13 MB of parsed numbers

Parsed = tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64] | None]
# Parses lines of as many values as said: integers (lines, values), or None where it can't.
FastParser = Callable[[list[bytes], int], npt.NDArray[np.int64] | None]

_NUMBER = re.compile(r"\s*[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?\s*\Z", re.ASCII)


@dataclass(frozen=True)
class Header:
    """What a file's header says."""

    has_label: bool
    lines: int  # lines up to and with the header: 2 after Excel's `sep=,`
    ended: bool  # whether it has a line end


def read_csv(path: Path | str, labelled: bool | None = None) -> Parsed:
    """Images uint8 (N, 28, 28) and labels int64 (N,) of a CSV of digits; labels are None where the file has none.

    `labelled` says whether a label column is required (True), forbidden (False) or optional (None).
    Raises DamagedFile with line and column, or OSError where the file cannot be opened.
    """
    path = Path(path)
    return read_rows(lambda: path.open("rb"), str(path), labelled)


def read_rows(opener: Opener, name: str, labelled: bool | None = None, fast: FastParser | None = None) -> Parsed:
    """As `read_csv`, from the stream that `opener` opens; messages call it `name`. `fast` is tried first."""
    blocks: list[npt.NDArray[np.uint8]] = []
    labels: list[npt.NDArray[np.int64]] = []
    with open_stream(opener, name) as stream:
        header = read_header(stream, name, labelled)
        has_label, ended = header.has_label, header.ended
        lines = numbered_lines(stream, name, header.lines + 1)
        while block := list(islice(lines, LINES_PER_BLOCK)):
            values = _parse_block(block, name, has_label, fast or _parse_with_numpy)
            blocks.append(values[:, has_label:].astype(np.uint8))
            labels.append(values[:, :has_label].astype(np.int64))
            ended = block[-1][1].endswith((b"\n", b"\r"))
    if not ended:
        raise DamagedFile(
            f"{name}: the last line has no line end, so its last number may be cut off; "
            "download it again (or add the line end, if you know the file is complete)"
        )
    if not blocks:
        raise DamagedFile(f"{name}: has a header but no rows; download it again")
    images = np.concatenate(blocks).reshape(-1, SIDE, SIDE)
    return images, np.concatenate(labels)[:, 0] if has_label else None


def render(images: npt.NDArray[np.uint8], labels: npt.NDArray[np.int64] | None = None) -> bytes:
    """The CSV's bytes for images uint8 (N, 28, 28) and, if given, labels int64 (N,) in 0..9."""
    rows = images.reshape(len(images), -1).tolist()
    if labels is not None:
        rows = [[label, *row] for label, row in zip(labels.tolist(), rows, strict=True)]
    lines = [",".join(column_names(labels is not None)), *(",".join(map(str, row)) for row in rows)]
    return ("\n".join(lines) + "\n").encode("ascii")


def read_header(stream: IO[bytes], name: str, labelled: bool | None) -> Header:
    """Read the header line of `stream` and check it. Capital letters are as good as small ones. Raises DamagedFile."""
    line, lines = stream.readline(LONGEST_LINE), 1
    text = line.decode("utf-8-sig", errors="replace")
    if re.match(r'"?sep=,"?\s*\Z', text):  # for Excel, which writes and reads it
        line, lines = stream.readline(LONGEST_LINE), 2
        text = line.decode("utf-8", errors="replace")
    where, start = f"{name} line {lines}", f"start the file with {_expected(labelled)}"
    if "\r" in text.rstrip("\r\n"):
        raise DamagedFile(f"{where}: has bare carriage returns; save the file with LF or CRLF line ends")
    fields = [field.strip() for field in next(csv.reader([text]), [])]
    if not any(fields):
        raise DamagedFile(f"{where}: must be the header, got a blank line; {start}")
    if text.startswith("#"):
        raise DamagedFile(f"{where}: must be the header, got a comment; {start}")
    if all(_NUMBER.match(field) for field in fields):
        raise DamagedFile(f"{where}: must be the header, got numbers; {start}")
    if len(fields) > 1 and all(_NUMBER.match(field) for field in fields[1:] if field):
        raise DamagedFile(
            f"{where}: has numbers for names, as a transposed table; write one row per digit, and {start}"
        )
    if text.startswith("sep=") or (len(fields) == 1 and (";" in text or "\t" in text)):
        raise DamagedFile(f"{where}: must be separated by commas; save the file with commas")
    has_label = LABEL in [field.lower() for field in fields]
    if labelled is True and not has_label:
        raise DamagedFile(f"{where}: has no column 'label'; is this test.csv instead of train.csv?")
    if labelled is False and has_label:
        raise DamagedFile(f"{where}: has a column 'label'; is this train.csv instead of test.csv?")
    _check_columns(fields, column_names(has_label), where)
    return Header(has_label, lines, line.endswith((b"\n", b"\r")))


def split_line(line: str, where: str) -> list[str]:
    """The values of one line of CSV. Raises DamagedFile for an unclosed quote or an endless value."""
    try:
        return next(csv.reader([line], strict=True), [])
    except csv.Error as error:
        raise DamagedFile(f"{where}: cannot be split into values ({error}); correct it") from error


def column_names(has_label: bool) -> tuple[str, ...]:
    """The columns in order."""
    return ((LABEL,) if has_label else ()) + PIXELS


def _expected(labelled: bool | None) -> str:
    first = {True: "label,pixel0", False: "pixel0", None: "pixel0, or label,pixel0"}[labelled]
    return f"{first},...,pixel783"


def _check_columns(fields: Sequence[str], expected: Sequence[str], where: str) -> None:
    names = [field.lower() for field in fields]
    if names == list(expected):
        return
    for index, name in enumerate(names):
        if name in names[:index]:
            raise DamagedFile(f"{where}: column {index + 1} repeats {quoted(fields[index])}; remove one of the two")
    missing = [name for name in expected if name not in names]
    unknown = [index for index, name in enumerate(names) if name not in expected]
    if unknown and not missing:
        got = quoted(fields[unknown[0]])
        raise DamagedFile(f"{where}: column {unknown[0] + 1} {got} is not expected; remove it")
    if missing and not unknown:
        raise DamagedFile(f"{where}: column {missing[0]!r} is missing ({len(missing)} in all); add it back")
    index = next(i for i, name in enumerate(expected) if names[i] != name)
    got = quoted(fields[index])
    raise DamagedFile(f"{where}: column {index + 1} must be {expected[index]!r}, got {got}; restore names and order")


def _parse_block(block: list[tuple[int, bytes]], name: str, has_label: bool, fast: FastParser) -> npt.NDArray[np.int64]:
    """Numbers (n, 784 or 785) of some lines with their numbers: by `fast`, or cell by cell where that fails."""
    width = len(PIXELS) + has_label
    lines = [line for _, line in block]
    # Wide lines would take `fast` too much memory, and some of pandas' versions skip a NUL inside a number.
    if all(line.count(b",") < width and b"\x00" not in line for line in lines):
        values = fast(lines, width)
        if values is not None and values.shape == (len(lines), width) and _in_range(values, has_label):
            return values
    columns = column_names(has_label)
    return np.array([_parse_cells(line, f"{name} line {number}", columns) for number, line in block], dtype=np.int64)


def _parse_with_numpy(lines: list[bytes], width: int) -> npt.NDArray[np.int64] | None:
    if not all(line.isascii() for line in lines):  # numpy reads outside its table for others, and may crash
        return None
    texts = [line.decode("ascii") for line in lines]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            return np.loadtxt(texts, dtype=np.int64, delimiter=",", comments=None, quotechar='"', ndmin=2)
    except (ValueError, Warning):
        return None


def _in_range(values: npt.NDArray[np.integer], has_label: bool) -> bool:
    """Whether every label of `values`, integers (n, 784 or 785), is in 0..9 and every pixel in 0..255."""
    pixels, labels = values[:, has_label:], values[:, :has_label]
    return bool(((pixels >= 0) & (pixels <= 255)).all() and ((labels >= 0) & (labels <= 9)).all())


def _parse_cells(line: bytes, where: str, columns: Sequence[str]) -> list[int]:
    cells = split_line(line.decode("utf-8", errors="replace"), where)
    if len(cells) != len(columns):
        raise DamagedFile(
            f"{where}: must have {len(columns)} values, got {len(cells)}; "
            "the row is cut or damaged, download the file again"
        )
    return [_parse_cell(cell, where, column) for cell, column in zip(cells, columns, strict=True)]


def _parse_cell(cell: str, where: str, column: str) -> int:
    largest = 9 if column == LABEL else 255
    if _NUMBER.match(cell):
        number = float(cell)
        if number.is_integer() and 0 <= number <= largest:
            return int(number)
    got = quoted(cell) if cell.strip() else "a blank"
    raise DamagedFile(f"{where}, column '{column}': must be an integer 0..{largest}, got {got}; correct it")
