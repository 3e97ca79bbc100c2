"""Where the competition's files are in a data folder."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from digit_recognizer.competition import ARCHIVE, SLUG, TEST, TRAIN
from digit_recognizer.damage import DamagedFile

# `digit-recognizer (1).zip` is what a browser names a second download.
_ARCHIVE_COPY: Final = re.compile(rf"{SLUG}.*\.zip", re.IGNORECASE)
# The competition's names with a copy's number, packed, in another format, or still being downloaded.
_ALIKE: Final = re.compile(
    rf"(train|test|{SLUG})([ _-]*(\(\d+\)|copy))?"
    r"((\.\w+)*\.(csv|zip|7z|rar|tar|t?gz|bz2|xz|zst|xlsx?|parquet|feather|part|partial|crdownload|download))",
    re.IGNORECASE,
)


def find(folder: Path) -> Path | None:
    """The path for `files.read`, or None where nothing looks like the competition's files.

    `folder` itself if it is a zip or has the CSVs; the zip in it; or else the only copy of the zip, or sub-folder with
    the files. Raises DamagedFile where several could be meant, or something is missing.
    """
    if folder.suffix.lower() == ".csv" and folder.is_file():
        raise DamagedFile(f"{folder}: must be the folder with {TRAIN} and {TEST}, got one file; give the folder")
    if folder.is_file():
        return folder
    if not folder.is_dir():
        return None
    own = _in(folder)
    if own:
        return own
    paths = sorted(path for path in folder.iterdir() if not path.name.startswith("."))  # hidden: a download at work
    copies = [path for path in paths if _ARCHIVE_COPY.fullmatch(path.name) and path.is_file()]
    candidates = copies + [found for path in paths if path.is_dir() and (found := _in(path)) and _is_ours(path)]
    if len(candidates) > 1:
        names = " and ".join(path.relative_to(folder).as_posix() for path in candidates)
        raise DamagedFile(f"{folder}: has {names}; give one of them as the data folder")
    if candidates:
        return candidates[0]
    _refuse_what_looks_alike(folder, [path.name for path in paths if _ALIKE.fullmatch(path.name) and path.is_file()])
    return None


def _in(folder: Path) -> Path | None:
    if all((folder / name).is_file() for name in (TRAIN, TEST)):
        return folder
    return folder / ARCHIVE if (folder / ARCHIVE).is_file() else None


def _is_ours(folder: Path) -> bool:
    """Whether a sub-folder is named after the competition, or has its columns; others have a train.csv too."""
    if folder.name.lower().startswith(SLUG) or (folder / ARCHIVE).is_file():
        return True
    with (folder / TRAIN).open("rb") as file:
        return file.read(20).removeprefix(b"\xef\xbb\xbf").lower().startswith(b"label,pixel0")


def _refuse_what_looks_alike(folder: Path, alike: list[str]) -> None:
    present = [name for name in (TRAIN, TEST) if name in alike]
    others = [name for name in alike if name not in present]
    only = f", only {', '.join(others)}" if others else ""
    if present:
        missing = TEST if present == [TRAIN] else TRAIN
        raise DamagedFile(f"{folder}: has {present[0]} but no {missing}{only}; put {missing} (or {ARCHIVE}) beside it")
    if others:
        raise DamagedFile(f"{folder}: has no {TRAIN} and {TEST}{only}; unpack and rename them, or put {ARCHIVE} there")
