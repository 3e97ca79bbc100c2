"""What a CSV of digits must look like, and the reader that judges it cell by cell.

The competition's files hold one digit a row: optionally `label` (0..9), then `pixel0` ... `pixel783`
(0..255, row by row from the top left, 0 = background). This reader needs numpy alone. `files` has a
faster one for the pipeline; where anything looks off, it asks this one, so damage is judged alike.
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
LINES_PER_BLOCK: Final = 1024  # bounds the memory that reading takes, about 6 MB of parsed numbers

Opener = Callable[[], IO[bytes]]
Parsed = tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64] | None]

_NUMBER = re.compile(r"\s*[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?\s*\Z", re.ASCII)


class DamagedFile(ValueError):
    """A file does not hold what it should; the message names the file, the place and the mend."""


def read_csv(path: Path | str, labelled: bool | None = None) -> Parsed:
    """Read a CSV of digits with numpy alone.

    `labelled` says whether a label column must be there (True), must not be (False), or may be (None).
    Returns images uint8 (N, 28, 28) and labels int64 (N,), or None where the file has no labels.
    Raises DamagedFile naming line and column, or OSError where the file can't be opened.
    """
    path = Path(path)
    return read_rows(lambda: path.open("rb"), str(path), labelled)


def read_rows(opener: Opener, name: str, labelled: bool | None = None) -> Parsed:
    """Read what `opener` opens, as `read_csv` does; `name` is what messages call it."""
    blocks: list[npt.NDArray[np.uint8]] = []
    labels: list[npt.NDArray[np.int64]] = []
    with opened(opener, name) as stream:
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
        raise DamagedFile(f"{name}: holds a header but no rows; download it again")
    images = np.concatenate(blocks).reshape(-1, SIDE, SIDE)
    return images, np.concatenate(labels)[:, 0] if has_label else None


def render(images: npt.NDArray[np.uint8], labels: npt.NDArray[np.int64] | None = None) -> bytes:
    """The bytes of such a file for images uint8 (N, 28, 28) and, if given, labels int64 (N,) in 0..9."""
    rows = images.reshape(len(images), -1).tolist()
    if labels is not None:
        rows = [[label, *row] for label, row in zip(labels.tolist(), rows, strict=True)]
    lines = [",".join(columns(labels is not None)), *(",".join(map(str, row)) for row in rows)]
    return ("\n".join(lines) + "\n").encode("ascii")


class WatchedStream(io.BufferedReader):
    """A binary stream that remembers the last byte read, to tell a whole file from a cut one."""

    def __init__(self, source: IO[bytes]) -> None:
        self.watched = _LastByte(source)
        super().__init__(self.watched, buffer_size=1 << 20)


class _LastByte(io.RawIOBase):
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


def opened(opener: Opener, name: str) -> WatchedStream:
    """Open and look at the first bytes: what is no text at all is named for what it is."""
    stream = WatchedStream(opener())
    start = stream.peek(512)[:512]
    damage = None
    if not start:
        damage = "is empty; download it again"
    elif start.startswith(b"PK\x03\x04"):
        damage = "is a zip archive under another name; unpack it, or give the .zip itself"
    elif start.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        damage = "is a web page, not CSV (a login page?); download the file again while logged in"
    elif b"\x00" in start:
        damage = "line 1 holds NUL bytes, so this is no CSV text; download it again"
    if damage:
        stream.close()
        raise DamagedFile(f"{name}: {damage}")
    return stream


def check_end(stream: WatchedStream, name: str) -> None:
    """Refuse a file that was read to its end and lacks the last line's end."""
    if stream.watched.last not in (b"\n", b"\r"):
        raise DamagedFile(
            f"{name}: the last line has no line end, so its last number may be cut off; "
            "download it again (or add the line end, if you know the file is whole)"
        )


def read_header(stream: IO[bytes], name: str, labelled: bool | None) -> bool:
    """Take the first line off `stream`, check it, and say whether it has a label column."""
    text = stream.readline(1 << 16).decode("utf-8-sig", errors="replace")
    where = f"{name} line 1"
    if "\r" in text.rstrip("\r\n"):
        raise DamagedFile(f"{where}: holds bare carriage returns; save the file with LF or CRLF line ends")
    fields = [field.strip() for field in next(csv.reader([text]), [])]
    if not any(fields):
        raise DamagedFile(f"{where}: is blank where the header belongs; begin the file with {_expected(labelled)}")
    if all(_NUMBER.match(field) for field in fields):
        raise DamagedFile(f"{where}: holds numbers where the header belongs; begin the file with {_expected(labelled)}")
    if len(fields) == 1 and (";" in text or "\t" in text):
        raise DamagedFile(f"{where}: is not separated by commas; save the file with commas")
    has_label = LABEL in fields
    if labelled is True and not has_label:
        raise DamagedFile(f"{where}: has no column 'label'; is this test.csv instead of train.csv?")
    if labelled is False and has_label:
        raise DamagedFile(f"{where}: has a column 'label'; is this train.csv instead of test.csv?")
    _check_columns(fields, columns(has_label), where)
    return has_label


def split(line: str, where: str) -> list[str]:
    """The values of one line of CSV. Raises DamagedFile for an open quote or a value without end."""
    try:
        return next(csv.reader([line], strict=True), [])
    except csv.Error as error:
        raise DamagedFile(f"{where}: can't be split into values ({error}); correct it") from error


def shown(text: str) -> str:
    """`text` as messages quote it: on one line, and short."""
    return f"{text[:20]!r}{'...' if len(text) > 20 else ''}"


def columns(has_label: bool) -> tuple[str, ...]:
    """The column names in order."""
    return ((LABEL,) if has_label else ()) + PIXELS


def _expected(labelled: bool | None) -> str:
    first = {True: "label,pixel0", False: "pixel0", None: "pixel0, or label,pixel0"}[labelled]
    return f"{first},...,pixel783"


def _check_columns(fields: Sequence[str], expected: Sequence[str], where: str) -> None:
    if list(fields) == list(expected):
        return
    for place, field in enumerate(fields):
        if field in fields[:place]:
            raise DamagedFile(f"{where}: column {place + 1} repeats {shown(field)}; remove one of the two")
    missing = [field for field in expected if field not in fields]
    unknown = [(place, field) for place, field in enumerate(fields) if field not in expected]
    if unknown and not missing:
        place, field = unknown[0]
        raise DamagedFile(f"{where}: column {place + 1} {shown(field)} does not belong; remove that column")
    if missing and not unknown:
        raise DamagedFile(f"{where}: column {missing[0]!r} is missing ({len(missing)} in all); add it back")
    place = next(i for i, field in enumerate(fields) if i >= len(expected) or field != expected[i])
    belongs = expected[place] if place < len(expected) else "nothing"
    raise DamagedFile(
        f"{where}: column {place + 1} is {shown(fields[place])} where {belongs!r} belongs; restore names and order"
    )


def _parse_block(lines: list[str], first_line: int, name: str, has_label: bool) -> npt.NDArray[np.int64]:
    """Numbers of some lines, (n, 784 or 785): by numpy's C parser, or cell by cell where that balks."""
    width = len(PIXELS) + has_label
    if all(line.isascii() for line in lines):  # numpy looks other characters up outside its table, and may crash
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
    """Whether every label of (n, 784 or 785) integers is in 0..9 and every pixel in 0..255."""
    pixels, labels = values[:, has_label:], values[:, :has_label]
    return bool(((pixels >= 0) & (pixels <= 255)).all() and ((labels >= 0) & (labels <= 9)).all())


def _parse_cells(lines: list[str], first_line: int, name: str, has_label: bool) -> Iterator[list[int]]:
    names = columns(has_label)
    for number, line in enumerate(lines, first_line):
        cells = split(line, f"{name} line {number}")
        if not any(cell.strip() for cell in cells) and len(cells) <= 1:
            continue  # a blank line
        if len(cells) != len(names):
            raise DamagedFile(
                f"{name} line {number}: has {len(cells)} values where {len(names)} belong; "
                "the row is cut or damaged, download the file again"
            )
        yield [_parse_cell(cell, f"{name} line {number}", column) for cell, column in zip(cells, names, strict=True)]


def _parse_cell(cell: str, where: str, column: str) -> int:
    top = 9 if column == LABEL else 255
    if _NUMBER.match(cell):
        number = float(cell)
        if number.is_integer() and 0 <= number <= top:
            return int(number)
    found = shown(cell) if cell.strip() else "blank"
    raise DamagedFile(f"{where}, column '{column}': is {found} where a whole number 0..{top} belongs; correct it")
