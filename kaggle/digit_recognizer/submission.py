"""The CSV format of a submission: `ImageId,Label`, one row per test image, ids from 1 in order."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from digit_recognizer.rows import DamagedFile, quoted, split_line

HEADER: Final = ["ImageId", "Label"]


def render(labels: npt.NDArray[np.int64]) -> bytes:
    """The CSV's bytes for labels int64 (N,) in 0..9."""
    rows = "".join(f"{image_id},{label}\n" for image_id, label in enumerate(labels.tolist(), 1))
    return (",".join(HEADER) + "\n" + rows).encode("ascii")


def read(path: Path | str) -> npt.NDArray[np.int64]:
    """Labels int64 (N,) of a submission file. Raises DamagedFile where it is not one."""
    if not Path(path).is_file():
        raise DamagedFile(f"{path}: there is no such file; give a submission.csv")
    with Path(path).open(encoding="utf-8-sig", errors="replace", newline="") as file:
        return parse(file, str(path))


def parse(lines: Iterable[str], name: str) -> npt.NDArray[np.int64]:
    """As `read`, from the file's lines; messages call it `name`."""
    labels: list[int] = []
    lines = iter(lines)
    header = [field.strip() for field in split_line(next(lines, ""), f"{name} line 1")]
    if header != HEADER:
        raise DamagedFile(
            f"{name} line 1: must be 'ImageId,Label', got {quoted(','.join(header))}; give a submission file"
        )
    for number, line in enumerate(lines, 2):
        where = f"{name} line {number}"
        row = split_line(line, where)
        if not row:
            continue
        if len(row) != 2:
            raise DamagedFile(f"{where}: must have 2 values, got {len(row)}; write the file again")
        image_id, label = (cell.strip() for cell in row)
        if image_id != str(len(labels) + 1):
            raise DamagedFile(f"{where}: ImageId must be {len(labels) + 1}, got {quoted(image_id)}; sort by ImageId")
        if label not in {*"0123456789"}:
            raise DamagedFile(f"{where}: Label must be an integer 0..9, got {quoted(label)}; correct it")
        labels.append(int(label))
    if not labels:
        raise DamagedFile(f"{name}: has a header but no rows; write the file again")
    return np.array(labels, dtype=np.int64)
