"""A download or an unpacked file lies in a staging folder until it is complete, and no such folder stays."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from digit_recognizer.staging import staging_folder

KILLED = """
import os, signal, sys
from pathlib import Path
from digit_recognizer.staging import staging_folder
with staging_folder(Path(sys.argv[1]), ".fetching-") as folder:
    (folder / "half").write_bytes(b"half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_it_is_empty_at_first_and_removed_at_the_end(tmp_path: Path) -> None:
    with staging_folder(tmp_path, ".fetching-") as folder:
        assert [path.name for path in folder.iterdir() if path.name != ".lock"] == []
        (folder / "file").write_text("")
    assert list(tmp_path.iterdir()) == []


def test_only_leftovers_of_killed_processes_are_removed(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", KILLED, tmp_path])
    assert [path.read_bytes() for path in tmp_path.glob("*/half")] == [b"half"]
    with staging_folder(tmp_path, ".fetching-") as first, staging_folder(tmp_path, ".fetching-") as second:
        assert set(tmp_path.iterdir()) == {first, second}
    assert list(tmp_path.iterdir()) == []
