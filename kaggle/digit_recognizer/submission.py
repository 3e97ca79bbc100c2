"""The CSV format of a submission: `ImageId,Label`, one row per test image, ids from 1 in order."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from digit_recognizer.damage import DamagedFile, quoted
from digit_recognizer.lines import Opener, numbered_lines, open_stream
from digit_recognizer.rows import split_line

HEADER: Final = ["ImageId", "Label"]


def render(labels: npt.NDArray[np.int64]) -> bytes:
    """The CSV's bytes for labels int64 (N,) in 0..9."""
    rows = "".join(f"{image_id},{label}\n" for image_id, label in enumerate(labels.tolist(), 1))
    return (",".join(HEADER) + "\n" + rows).encode("ascii")


def read(path: Path | str) -> npt.NDArray[np.int64]:
    """Labels int64 (N,) of a submission file. Raises DamagedFile where it is not one."""
    path = Path(path)
    if not path.is_file():
        raise DamagedFile(f"{path}: there is no such file; give a submission.csv")
    return parse(lambda: path.open("rb"), str(path))


def parse(opener: Opener, name: str) -> npt.NDArray[np.int64]:
    """As `read`, from the stream that `opener` opens; messages call it `name`."""
    labels: list[int] = []
    with open_stream(opener, name) as stream:
        lines = numbered_lines(stream, name)
        number, line = next(lines, (1, b""))
        _check_header(_cells(line, "utf-8-sig", f"{name} line {number}"), f"{name} line {number}")
        for number, line in lines:
            where = f"{name} line {number}"
            labels.append(_label(_cells(line, "utf-8", where), len(labels) + 1, where))
    if not labels:
        raise DamagedFile(f"{name}: has a header but no rows; write the file again")
    return np.array(labels, dtype=np.int64)


def _cells(line: bytes, encoding: str, where: str) -> list[str]:
    return [cell.strip() for cell in split_line(line.decode(encoding, errors="replace"), where)]


def _check_header(row: list[str], where: str) -> None:
    if row != HEADER:
        raise DamagedFile(f"{where}: must be 'ImageId,Label', got {quoted(','.join(row))}; give a submission file")


def _label(row: list[str], expected_id: int, where: str) -> int:
    """The label of a row that must have this id. Raises DamagedFile."""
    if len(row) != 2:
        raise DamagedFile(f"{where}: must have 2 values, got {len(row)}; write the file again")
    image_id, label = row
    if expected_id == 1 and image_id == "0":
        raise DamagedFile(f"{where}: ImageId must begin at 1, got '0'; add 1 to every ImageId")
    if image_id != str(expected_id):
        raise DamagedFile(f"{where}: ImageId must be {expected_id}, got {quoted(image_id)}; sort by ImageId")
    if label not in {*"0123456789"}:
        raise DamagedFile(f"{where}: Label must be an integer 0..9, got {quoted(label)}; correct it")
    return int(label)
