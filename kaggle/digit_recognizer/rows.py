"""The CSV format of digits, and a reader that checks every cell.

The competition's files have one digit per row: optionally `label` (0..9), then `pixel0` ... `pixel783`
(0..255, row by row from the top left, 0 = background). This reader needs numpy alone. `files` has a faster
one with pandas, which leaves every doubtful file to this one, so both give the same errors.
"""

from __future__ import annotations

import csv
import io
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import IO, Final

import numpy as np
import numpy.typing as npt

SIDE: Final = 28
LABEL: Final = "label"
PIXELS: Final = tuple(f"pixel{i}" for i in range(SIDE * SIDE))
LINES_PER_BLOCK: Final = 1024  # limits memory to about 6 MB of parsed numbers

Opener = Callable[[], IO[bytes]]
Parsed = tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64] | None]

_NUMBER = re.compile(r"\s*[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?\s*\Z", re.ASCII)


class DamagedFile(ValueError):
    """A file with the wrong content; the message says where, what is wrong and how to fix it."""


def read_csv(path: Path | str, labelled: bool | None = None) -> Parsed:
    """Images uint8 (N, 28, 28) and labels int64 (N,) of a CSV of digits; labels are None where the file has none.

    `labelled` says whether a label column is required (True), forbidden (False) or optional (None).
    Raises DamagedFile with line and column, or OSError where the file cannot be opened.
    """
    path = Path(path)
    return read_rows(lambda: path.open("rb"), str(path), labelled)


def read_rows(opener: Opener, name: str, labelled: bool | None = None) -> Parsed:
    """As `read_csv`, from the stream that `opener` opens; messages call it `name`."""
    blocks: list[npt.NDArray[np.uint8]] = []
    labels: list[npt.NDArray[np.int64]] = []
    with open_stream(opener, name) as stream:
        has_label = read_header(stream, name, labelled)
        text = io.TextIOWrapper(stream, encoding="utf-8", errors="replace", newline="")
        first_line = 2
        while lines := list(islice(text, LINES_PER_BLOCK)):
            values = _parse_block(lines, first_line, name, has_label)
            blocks.append(values[:, has_label:].astype(np.uint8))
            labels.append(values[:, :has_label].astype(np.int64))
            first_line += len(lines)
        check_end(stream, name)
    if not sum(map(len, blocks)):
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


class LastByteReader(io.BufferedReader):
    """A binary stream that remembers the last byte read, which shows whether a file is cut off."""

    def __init__(self, source: IO[bytes]) -> None:
        self.source = _LastByteSource(source)
        super().__init__(self.source, buffer_size=1 << 20)

    @property
    def last(self) -> bytes:
        """The last byte that was read from the source."""
        return self.source.last


class _LastByteSource(io.RawIOBase):
    def __init__(self, source: IO[bytes]) -> None:
        self.source = source
        self.last = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = self.source.read(len(buffer))
        buffer[: len(data)] = data
        self.last = data[-1:] or self.last
        return len(data)

    def close(self) -> None:
        self.source.close()
        super().close()


def open_stream(opener: Opener, name: str) -> LastByteReader:
    """Open a CSV. Raises DamagedFile where the first bytes show that it is another kind of file."""
    stream = LastByteReader(opener())
    start = stream.peek(512)[:512]
    damage = None
    if not start:
        damage = "is empty; download it again"
    elif start.startswith(b"PK\x03\x04"):
        damage = "is a zip archive, not a CSV; unpack it, or give the .zip itself"
    elif start.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        damage = "is a web page, not a CSV (a login page?); download the file again while logged in"
    elif b"\x00" in start:
        damage = "line 1 has NUL bytes, so this is not CSV text; download it again"
    if damage:
        stream.close()
        raise DamagedFile(f"{name}: {damage}")
    return stream


def check_end(stream: LastByteReader, name: str) -> None:
    """Raise DamagedFile where a file that was read to its end does not end with a line end."""
    if stream.last not in (b"\n", b"\r"):
        raise DamagedFile(
            f"{name}: the last line has no line end, so its last number may be cut off; "
            "download it again (or add the line end, if you know the file is complete)"
        )


def read_header(stream: IO[bytes], name: str, labelled: bool | None) -> bool:
    """Read the header line of `stream`, check it, and return whether it has a label column. Raises DamagedFile."""
    text = stream.readline(1 << 16).decode("utf-8-sig", errors="replace")
    where = f"{name} line 1"
    if "\r" in text.rstrip("\r\n"):
        raise DamagedFile(f"{where}: has bare carriage returns; save the file with LF or CRLF line ends")
    fields = [field.strip() for field in next(csv.reader([text]), [])]
    if not any(fields):
        raise DamagedFile(f"{where}: must be the header, got a blank line; start the file with {_expected(labelled)}")
    if all(_NUMBER.match(field) for field in fields):
        raise DamagedFile(f"{where}: must be the header, got numbers; start the file with {_expected(labelled)}")
    if len(fields) == 1 and (";" in text or "\t" in text):
        raise DamagedFile(f"{where}: must be separated by commas; save the file with commas")
    has_label = LABEL in fields
    if labelled is True and not has_label:
        raise DamagedFile(f"{where}: has no column 'label'; is this test.csv instead of train.csv?")
    if labelled is False and has_label:
        raise DamagedFile(f"{where}: has a column 'label'; is this train.csv instead of test.csv?")
    _check_columns(fields, column_names(has_label), where)
    return has_label


def split_line(line: str, where: str) -> list[str]:
    """The values of one line of CSV. Raises DamagedFile for an unclosed quote or an endless value."""
    try:
        return next(csv.reader([line], strict=True), [])
    except csv.Error as error:
        raise DamagedFile(f"{where}: cannot be split into values ({error}); correct it") from error


def quoted(text: str) -> str:
    """`text` in quotes, on one line, cut to 20 characters."""
    return f"{text[:20]!r}{'...' if len(text) > 20 else ''}"


def column_names(has_label: bool) -> tuple[str, ...]:
    """The columns in order."""
    return ((LABEL,) if has_label else ()) + PIXELS


def _expected(labelled: bool | None) -> str:
    first = {True: "label,pixel0", False: "pixel0", None: "pixel0, or label,pixel0"}[labelled]
    return f"{first},...,pixel783"


def _check_columns(fields: Sequence[str], expected: Sequence[str], where: str) -> None:
    if list(fields) == list(expected):
        return
    for index, field in enumerate(fields):
        if field in fields[:index]:
            raise DamagedFile(f"{where}: column {index + 1} repeats {quoted(field)}; remove one of the two")
    missing = [field for field in expected if field not in fields]
    unknown = [(index, field) for index, field in enumerate(fields) if field not in expected]
    if unknown and not missing:
        index, field = unknown[0]
        raise DamagedFile(f"{where}: column {index + 1} {quoted(field)} is not expected; remove it")
    if missing and not unknown:
        raise DamagedFile(f"{where}: column {missing[0]!r} is missing ({len(missing)} in all); add it back")
    index = next(i for i, name in enumerate(expected) if fields[i] != name)
    got = quoted(fields[index])
    raise DamagedFile(f"{where}: column {index + 1} must be {expected[index]!r}, got {got}; restore names and order")


def _parse_block(lines: list[str], first_line: int, name: str, has_label: bool) -> npt.NDArray[np.int64]:
    """Numbers (n, 784 or 785) of some lines: by numpy's C parser, or cell by cell where that fails."""
    width = len(PIXELS) + has_label
    if all(line.isascii() for line in lines):  # numpy reads outside its table for others, and may crash
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                values = np.loadtxt(lines, dtype=np.int64, delimiter=",", comments=None, quotechar='"', ndmin=2)
            if values.shape[1] == width and in_range(values, has_label):
                return values
        except (ValueError, Warning):
            pass
    rows = list(_parse_cells(lines, first_line, name, has_label))
    return np.array(rows, dtype=np.int64).reshape(-1, width)


def in_range(values: npt.NDArray[np.integer], has_label: bool) -> bool:
    """Whether every label of `values`, integers (n, 784 or 785), is in 0..9 and every pixel in 0..255."""
    pixels, labels = values[:, has_label:], values[:, :has_label]
    return bool(((pixels >= 0) & (pixels <= 255)).all() and ((labels >= 0) & (labels <= 9)).all())


def _parse_cells(lines: list[str], first_line: int, name: str, has_label: bool) -> Iterator[list[int]]:
    names = column_names(has_label)
    for number, line in enumerate(lines, first_line):
        cells = split_line(line, f"{name} line {number}")
        if not any(cell.strip() for cell in cells) and len(cells) <= 1:
            continue  # a blank line
        if len(cells) != len(names):
            raise DamagedFile(
                f"{name} line {number}: must have {len(names)} values, got {len(cells)}; "
                "the row is cut or damaged, download the file again"
            )
        yield [_parse_cell(cell, f"{name} line {number}", column) for cell, column in zip(cells, names, strict=True)]


def _parse_cell(cell: str, where: str, column: str) -> int:
    largest = 9 if column == LABEL else 255
    if _NUMBER.match(cell):
        number = float(cell)
        if number.is_integer() and 0 <= number <= largest:
            return int(number)
    got = quoted(cell) if cell.strip() else "a blank"
    raise DamagedFile(f"{where}, column '{column}': must be an integer 0..{largest}, got {got}; correct it")
