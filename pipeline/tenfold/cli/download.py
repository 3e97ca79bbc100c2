"""`tenfold download`: fetch the competition's files. Needs the kaggle extra, no torch."""

from __future__ import annotations

from pathlib import Path


def download(*, data: Path = Path("data"), limit_s: float = 600.0) -> None:
    """Fetch digit-recognizer.zip with the kaggle command, and keep it only if it is whole.

    Parameters
    ----------
    data
        Folder to put it in.
    limit_s
        Seconds that it may take.
    """
    from digit_recognizer import client

    print(f"downloaded {client.download(data, limit_s)}; `tenfold run --source kaggle --data {data}` trains on it")
