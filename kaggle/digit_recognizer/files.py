"""The competition's files as arrays: from Kaggle's zip, or from a folder with its CSVs."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt
import pandas as pd

from digit_recognizer import kinds, submission
from digit_recognizer.archive import members
from digit_recognizer.competition import SAMPLE_SUBMISSION, TEST, TRAIN
from digit_recognizer.damage import DamagedFile
from digit_recognizer.lines import Opener
from digit_recognizer.rows import Parsed, read_rows


@dataclass(frozen=True)
class Files:
    """The competition's data."""

    train_images: npt.NDArray[np.uint8]  # (42000, 28, 28)
    train_labels: npt.NDArray[np.int64]  # (42000,) in 0..9
    test_images: npt.NDArray[np.uint8]  # (28000, 28, 28)


def read(path: Path) -> Files:
    """Read and check train.csv and test.csv at `path`, a zip or a folder that `locate.find` returned.

    Raises DamagedFile with file, line and column.
    """
    if path.is_file():
        return _read_archive(path)
    names = {file.name: f"{path / file.name}" for file in path.iterdir()}
    return _read_set(lambda name: lambda: (path / name).open("rb"), names)


def _read_archive(path: Path) -> Files:
    with path.open("rb") as file:
        damage = kinds.refusal(file.read(kinds.START), "a zip archive")
    if damage:
        raise DamagedFile(f"{path}: {damage}")
    try:
        with zipfile.ZipFile(path) as archive:
            entries = members(archive, path)
            names = {name: f"{path}: {entry.filename}" for name, entry in entries.items()}
            return _read_set(lambda name: lambda: archive.open(entries[name]), names)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError) as error:
        if isinstance(error, OSError) and error.filename is not None:  # it could not even be opened
            raise
        raise DamagedFile(f"{path}: is not a complete zip archive ({error}); download it again") from error
    except (RuntimeError, NotImplementedError) as error:  # raised for kinds of encryption and compression
        raise DamagedFile(f"{path}: cannot be unpacked ({error}); download it again") from error


def _read_set(openers: Callable[[str], Opener], names: dict[str, str]) -> Files:
    """The files that `openers` opens; `names` says under what name messages mention each that is there."""
    parts = [(openers(TRAIN), names[TRAIN], True), (openers(TEST), names[TEST], False)]
    with ThreadPoolExecutor(len(parts)) as threads:  # pandas' parser releases the interpreter lock
        (train_images, train_labels), (test_images, _) = threads.map(lambda part: read_digits(*part), parts)
    if SAMPLE_SUBMISSION in names:
        expected = len(submission.parse(openers(SAMPLE_SUBMISSION), names[SAMPLE_SUBMISSION]))
        if expected != len(test_images):
            raise DamagedFile(
                f"{names[TEST]}: must have {expected} rows, as {SAMPLE_SUBMISSION} has, got {len(test_images)}; "
                "one of the two is cut off, download both again"
            )
    return Files(train_images, cast("npt.NDArray[np.int64]", train_labels), test_images)


def read_digits(opener: Opener, name: str, labelled: bool | None) -> Parsed:
    """As `rows.read_rows`, with pandas' parser, which is faster than numpy's."""
    return read_rows(opener, name, labelled, fast=_parse_with_pandas)


def _parse_with_pandas(lines: list[bytes], width: int) -> npt.NDArray[np.int64] | None:
    try:
        # No dtype, since pandas silently casts 257 to uint8 1.
        table = pd.read_csv(io.BytesIO(b"".join(lines)), header=None, low_memory=False)
    except ValueError:  # pandas' parser and decoding errors are ValueErrors
        return None
    return table.to_numpy() if set(table.dtypes) == {np.dtype(np.int64)} else None
