"""`tenfold download`: fetch the competition's files. Needs the kaggle extra, no torch."""

from __future__ import annotations

from pathlib import Path

from tenfold.cli.summary import command, show_next
from tenfold.terminal import result


def download(*, data: Path = Path("data"), limit_s: float = 600.0) -> None:
    """Download the competition's files.

    It fetches digit-recognizer.zip with the kaggle command, and keeps it only if it is complete.

    Parameters
    ----------
    data
        Folder for the zip.
    limit_s
        Time limit in seconds.
    """
    from digit_recognizer.download import download as fetch

    result(f"downloaded {fetch(data, limit_s)}")
    show_next([(command("run", "--source", "kaggle", "--data", data), "trains on it")])
