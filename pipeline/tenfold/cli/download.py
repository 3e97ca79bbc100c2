"""`tenfold download`: fetch the competition's files. Needs the kaggle extra, no torch."""

from __future__ import annotations

from pathlib import Path


def download(*, data: Path = Path("data"), limit_s: float = 600.0) -> None:
    """Download digit-recognizer.zip with the kaggle command, and keep it only if it is complete.

    Parameters
    ----------
    data
        Folder for the zip.
    limit_s
        Time limit in seconds.
    """
    from digit_recognizer.download import download as fetch

    print(f"downloaded {fetch(data, limit_s)}; `tenfold run --source kaggle --data {data}` trains on it")
