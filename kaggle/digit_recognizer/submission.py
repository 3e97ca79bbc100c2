"""A submission: `ImageId,Label`, one row a test row, ids from 1 in order."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from digit_recognizer.rows import DamagedFile, shown, split

HEADER: Final = ["ImageId", "Label"]


def render(labels: npt.NDArray[np.int64]) -> bytes:
    """The file's bytes for labels int64 (N,) in 0..9."""
    rows = "".join(f"{image_id},{label}\n" for image_id, label in enumerate(labels.tolist(), 1))
    return (",".join(HEADER) + "\n" + rows).encode("ascii")


def read(path: Path | str) -> npt.NDArray[np.int64]:
    """Labels int64 (N,) of a submission file. Raises DamagedFile where it is none."""
    if not Path(path).is_file():
        raise DamagedFile(f"{path}: there is no such file; give a submission.csv")
    with Path(path).open(encoding="utf-8-sig", errors="replace", newline="") as file:
        return parse(file, str(path))


def parse(lines: Iterable[str], name: str) -> npt.NDArray[np.int64]:
    """As `read`, from the file's lines; `name` is what messages call it."""
    labels: list[int] = []
    lines = iter(lines)
    header = [field.strip() for field in split(next(lines, ""), f"{name} line 1")]
    if header != HEADER:
        raise DamagedFile(
            f"{name} line 1: is {shown(','.join(header))} where 'ImageId,Label' belongs; give a submission's file"
        )
    for number, line in enumerate(lines, 2):
        where = f"{name} line {number}"
        row = split(line, where)
        if not row:
            continue
        if len(row) != 2:
            raise DamagedFile(f"{where}: has {len(row)} values where 2 belong; write the file again")
        image_id, label = (cell.strip() for cell in row)
        if image_id != str(len(labels) + 1):
            raise DamagedFile(
                f"{where}: has ImageId {shown(image_id)} where {len(labels) + 1} belongs; sort by ImageId"
            )
        if label not in {*"0123456789"}:
            raise DamagedFile(f"{where}: has Label {shown(label)} where a whole number 0..9 belongs; correct it")
        labels.append(int(label))
    if not labels:
        raise DamagedFile(f"{name}: holds a header but no rows; write the file again")
    return np.array(labels, dtype=np.int64)
