"""Which entries of a zip are the competition's files, and whether they may be unpacked."""

from __future__ import annotations

import zipfile
from collections import Counter
from pathlib import Path, PureWindowsPath
from typing import Final

from digit_recognizer.competition import ARCHIVE, SAMPLE_SUBMISSION, TEST, TRAIN
from digit_recognizer.damage import DamagedFile

LARGEST: Final = 1 << 28  # bytes of all files together, unpacked: twice the competition's. zipfile reads no more
METHODS: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # the others unpack any number of bytes at once

_GIVE_FOLDER: Final = "unpack it with another program, and give the folder"


def members(archive: zipfile.ZipFile, path: Path) -> dict[str, zipfile.ZipInfo]:
    """The entries by name: train.csv, test.csv and, if there, sample_submission.csv. All lie in the same folder.

    That is the archive's top, or else the only folder with both. `path` is the archive's, for messages.
    Raises DamagedFile where there is a doubt, or where an entry may not be unpacked.
    """
    entries = {PureWindowsPath(entry.filename): entry for entry in archive.infolist()}  # splits at / and at \\
    for entry in entries:
        if ".." in entry.parts or entry.anchor:
            name = entries[entry].filename
            raise DamagedFile(f"{path}: entry {name!r} points outside the archive; do not use this file")
    folder = _folder(list(entries), path)
    found = {name: entries[folder / name] for name in (TRAIN, TEST, SAMPLE_SUBMISSION) if folder / name in entries}
    times = Counter(PureWindowsPath(entry.filename) for entry in archive.infolist())
    for member in found.values():
        _check(member, times[PureWindowsPath(member.filename)], path)
    unpacked = sum(member.file_size for member in found.values())
    if unpacked > LARGEST:
        raise DamagedFile(
            f"{path}: unpacks to {unpacked / 1e6:,.0f} MB, the competition's files to 128 MB; download it again"
        )
    return found


def _folder(entries: list[PureWindowsPath], path: Path) -> PureWindowsPath:
    """The folder inside the archive with both CSVs."""
    top = PureWindowsPath()
    present = [name for name in (TRAIN, TEST) if top / name in entries]
    if len(present) == 2:
        return top
    folders = sorted({entry.parent for entry in entries if {entry.parent / TRAIN, entry.parent / TEST} <= {*entries}})
    if len(folders) == 1:
        return folders[0]
    if folders:
        names = " and ".join(folder.as_posix() for folder in folders[:2])
        raise DamagedFile(f"{path}: has {TRAIN} and {TEST} both in {names}; unpack it, and give one of these folders")
    inner = [entry.as_posix() for entry in entries if entry.suffix.lower() == ".zip"]
    if inner:
        raise DamagedFile(f"{path}: has the archive {inner[0]} inside; unpack it, and give the folder or the inner zip")
    missing = TEST if present == [TRAIN] else TRAIN
    raise DamagedFile(f"{path}: has no {missing}; download the competition's {ARCHIVE} again")


def _check(entry: zipfile.ZipInfo, times: int, path: Path) -> None:
    if times > 1:
        raise DamagedFile(f"{path}: has {entry.filename} {times} times; download it again")
    if entry.flag_bits & 1:
        raise DamagedFile(f"{path}: is protected by a password; {_GIVE_FOLDER}")
    if entry.compress_type not in METHODS:
        raise DamagedFile(f"{path}: cannot be unpacked here (compression method {entry.compress_type}); {_GIVE_FOLDER}")
