"""A CSV's lines, one after the other, in bounded memory whatever the file."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from itertools import count
from typing import IO, Any, Final, cast

from digit_recognizer import kinds
from digit_recognizer.damage import DamagedFile

LONGEST_LINE: Final = 1 << 15  # bytes; NumPy's own way to write 785 numbers takes 20,000
MOST_BLANK_LINES: Final = 100_000

Opener = Callable[[], IO[bytes]]


def open_stream(opener: Opener, name: str) -> io.BufferedReader:
    """Open a CSV. Raises DamagedFile where the first bytes show that it is another kind of file."""
    stream = io.BufferedReader(cast("Any", opener()), buffer_size=1 << 20)  # an entry of a zip is not buffered
    start = stream.peek(kinds.START)[: kinds.START]
    damage = kinds.refusal(start, "a CSV") if start else "is empty; download it again, or give a whole file"
    if damage:
        stream.close()
        raise DamagedFile(f"{name}: {damage}")
    return stream


def numbered_lines(stream: IO[bytes], name: str, first: int = 1) -> Iterator[tuple[int, bytes]]:
    """The lines that are not blank, with their numbers; the stream begins with line `first`.

    Raises DamagedFile where a line is longer than any row, or where the file is mostly blank lines.
    """
    blank_lines = 0
    for number in count(first):
        line = stream.readline(LONGEST_LINE + 1)
        if not line:
            return
        if len(line) > LONGEST_LINE:
            raise DamagedFile(
                f"{name} line {number}: is longer than {LONGEST_LINE:,} bytes, more than any row; "
                "the file is damaged, download it again"
            )
        if not line.isspace():
            yield number, line
            continue
        blank_lines += 1
        if blank_lines > MOST_BLANK_LINES:
            raise DamagedFile(f"{name} line {number}: is one of too many blank lines; remove them")
