"""A submission: `ImageId,Label`, one row a test row, ids from 1 in order."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from digit_recognizer.rows import DamagedFile

HEADER: Final = ["ImageId", "Label"]


def render(labels: npt.NDArray[np.int64]) -> bytes:
    """The file's bytes for labels int64 (N,) in 0..9."""
    rows = "".join(f"{image_id},{label}\n" for image_id, label in enumerate(labels.tolist(), 1))
    return (",".join(HEADER) + "\n" + rows).encode("ascii")


def read(path: Path | str) -> npt.NDArray[np.int64]:
    """Labels int64 (N,) of a submission file. Raises DamagedFile where it is none."""
    path = Path(path)
    labels: list[int] = []
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        reader = csv.reader(file)
        header = [field.strip() for field in next(reader, [])]
        if header != HEADER:
            raise DamagedFile(f"{path} line 1: is {','.join(header)[:40]!r} where 'ImageId,Label' belongs")
        for row in reader:
            if not row:
                continue
            where = f"{path} line {reader.line_num}"
            if len(row) != 2:
                raise DamagedFile(f"{where}: has {len(row)} values where 2 belong; write the file again")
            image_id, label = (cell.strip() for cell in row)
            if image_id != str(len(labels) + 1):
                raise DamagedFile(f"{where}: has ImageId {image_id[:20]!r} where {len(labels) + 1} belongs; sort by ImageId")
            if label not in {*"0123456789"}:
                raise DamagedFile(f"{where}: has Label {label[:20]!r} where a whole number 0..9 belongs; correct it")
            labels.append(int(label))
    if not labels:
        raise DamagedFile(f"{path}: holds a header but no rows; write the file again")
    return np.array(labels, dtype=np.int64)
