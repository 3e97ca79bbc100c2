"""Download of the competition's zip, which replaces an older one only if it is complete."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

from digit_recognizer.command import call
from digit_recognizer.competition import ARCHIVE, SLUG, TEST, TEST_ROWS, TRAIN, TRAIN_ROWS
from digit_recognizer.damage import DamagedFile
from digit_recognizer.failures import failure
from digit_recognizer.rows import read_header
from digit_recognizer.staging import staging_folder


def download(folder: Path, limit_s: float) -> Path:
    """Download the competition's zip into `folder` and return its path.

    Raises KaggleFailed, or DamagedFile where the download is not the competition's zip.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with staging_folder(folder, ".downloading-") as staging:
        result = call("competitions", "download", SLUG, "-p", str(staging), "--force", limit_s=limit_s)
        archive = staging / ARCHIVE
        if result.code != 0 or not archive.is_file():
            raise failure(result, "nothing was downloaded", limit_s)
        try:
            check_archive(archive)
        except DamagedFile as damage:
            raise DamagedFile(
                f"{folder / ARCHIVE}: not replaced, since the download is damaged ({damage}); download it again"
            ) from None
        archive.replace(folder / ARCHIVE)
    return folder / ARCHIVE


def check_archive(path: Path) -> None:
    """Check every CRC, and the header and row count of both CSVs. Raises DamagedFile."""
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
            if damaged:
                raise DamagedFile(f"{damaged} fails its CRC check")
            for name, expected, labelled in ((TRAIN, TRAIN_ROWS, True), (TEST, TEST_ROWS, False)):
                if name not in archive.namelist():
                    raise DamagedFile(f"{name} is missing")
                with archive.open(name) as stream:
                    read_header(stream, name, labelled)
                    rows = sum(1 for line in stream if line.strip())
                if rows != expected:
                    raise DamagedFile(f"{name} must have {expected:,} rows, got {rows:,}")
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise DamagedFile(f"not a complete zip archive: {error}") from error
