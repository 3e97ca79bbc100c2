"""The competition's files as arrays: from Kaggle's zip, or from a folder with its CSVs."""

from __future__ import annotations

import io
import lzma
import zipfile
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import Final, cast

import numpy as np
import numpy.typing as npt
import pandas as pd

from digit_recognizer import submission
from digit_recognizer.competition import ARCHIVE, SAMPLE_SUBMISSION, TEST, TRAIN
from digit_recognizer.rows import (
    PIXELS,
    SIDE,
    DamagedFile,
    Opener,
    Parsed,
    check_end,
    in_range,
    open_stream,
    read_header,
    read_rows,
)

ROWS_PER_CHUNK: Final = 2048  # about 13 MB of int64 at a time


@dataclass(frozen=True)
class Files:
    """The competition's data."""

    train_images: npt.NDArray[np.uint8]  # (42000, 28, 28)
    train_labels: npt.NDArray[np.int64]  # (42000,) in 0..9
    test_images: npt.NDArray[np.uint8]  # (28000, 28, 28)


def find(folder: Path) -> Path | None:
    """The path to `read`: `folder` itself if it is a zip or has the CSVs, the zip in it, or None.

    The CSVs are preferred to the zip. Raises DamagedFile where only one of the two CSVs is there.
    """
    if folder.suffix.lower() == ".csv" and folder.is_file():
        raise DamagedFile(f"{folder}: must be the folder with {TRAIN} and {TEST}, got one file; give the folder")
    if folder.is_file():
        return folder
    present = [name for name in (TRAIN, TEST) if (folder / name).is_file()]
    if len(present) == 2:
        return folder
    if (folder / ARCHIVE).is_file():
        return folder / ARCHIVE
    if present:
        missing = TEST if present == [TRAIN] else TRAIN
        raise DamagedFile(f"{folder}: has {present[0]} but no {missing}; put {missing} (or {ARCHIVE}) beside it")
    return None


def read(path: Path) -> Files:
    """Read and check train.csv and test.csv at `path`, a zip or a folder that `find` returned.

    Raises DamagedFile with file, line and column.
    """
    if path.is_file():
        try:
            with zipfile.ZipFile(path) as archive:
                _check_entries(archive, path)
                return _read_set(lambda name: lambda: archive.open(name), set(archive.namelist()), f"{path}: ")
        except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError) as error:
            if isinstance(error, OSError) and error.filename is not None:  # it could not even be opened
                raise
            raise DamagedFile(f"{path}: is not a complete zip archive ({error}); download it again") from error
        except (RuntimeError, NotImplementedError) as error:  # raised for encryption and unknown compression
            raise DamagedFile(f"{path}: cannot be unpacked ({error}); download it again") from error
    names = {file.name for file in path.iterdir()}
    return _read_set(lambda name: lambda: (path / name).open("rb"), names, f"{path}/")


def _check_entries(archive: zipfile.ZipFile, path: Path) -> None:
    for name in archive.namelist():
        entry = PureWindowsPath(name)  # splits at / and at \\
        if ".." in entry.parts or entry.anchor:
            raise DamagedFile(f"{path}: entry {name!r} points outside the archive; do not use this file")
    for name in (TRAIN, TEST):
        if name not in archive.namelist():
            raise DamagedFile(f"{path}: has no {name}; download the competition's {ARCHIVE} again")


def _read_set(openers: Callable[[str], Opener], names: set[str], prefix: str) -> Files:
    parts = [(openers(TRAIN), prefix + TRAIN, True), (openers(TEST), prefix + TEST, False)]
    with ThreadPoolExecutor(len(parts)) as threads:  # pandas' parser releases the interpreter lock
        fast = list(threads.map(lambda part: _read_fast(*part), parts))
    (train_images, train_labels), (test_images, _) = (
        read_rows(*part) if digits is None else digits for part, digits in zip(parts, fast, strict=True)
    )
    if SAMPLE_SUBMISSION in names:
        with openers(SAMPLE_SUBMISSION)() as stream:
            lines = io.TextIOWrapper(stream, "utf-8-sig", errors="replace", newline="")
            expected = len(submission.parse(lines, prefix + SAMPLE_SUBMISSION))
        if expected != len(test_images):
            raise DamagedFile(
                f"{prefix}{TEST}: must have {expected} rows, as {SAMPLE_SUBMISSION} has, got {len(test_images)}; "
                "one of the two is cut off, download both again"
            )
    return Files(train_images, cast("npt.NDArray[np.int64]", train_labels), test_images)


def read_digits(opener: Opener, name: str, labelled: bool | None) -> Parsed:
    """Read a CSV of digits with pandas; the same result and the same errors as `rows.read_rows`."""
    return _read_fast(opener, name, labelled) or read_rows(opener, name, labelled)


def _read_fast(opener: Opener, name: str, labelled: bool | None) -> Parsed | None:
    """The rows as pandas parses them, or None where anything is doubtful, which `read_rows` must then check."""
    blocks: list[npt.NDArray[np.uint8]] = []
    labels: list[npt.NDArray[np.int64]] = []
    with open_stream(opener, name) as stream:
        has_label = read_header(stream, name, labelled)
        try:
            # No dtype, since pandas silently casts 257 to uint8 1: read as int64, check, then cast.
            for chunk in pd.read_csv(stream, header=None, chunksize=ROWS_PER_CHUNK, low_memory=False):
                if chunk.shape[1] != len(PIXELS) + has_label or set(chunk.dtypes) != {np.dtype(np.int64)}:
                    return None
                values = chunk.to_numpy()
                if not in_range(values, has_label):
                    return None
                blocks.append(values[:, has_label:].astype(np.uint8))
                labels.append(values[:, :has_label].astype(np.int64))
        except ValueError:  # pandas' parser and decoding errors are ValueErrors
            return None
        check_end(stream, name)
    images = np.concatenate(blocks).reshape(-1, SIDE, SIDE)
    return images, np.concatenate(labels)[:, 0] if has_label else None
