"""What is fetched or unpacked lies aside until it is whole, and nothing of it stays."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from digit_recognizer.staging import staging_folder

KILLED = """
import os, signal, sys
from pathlib import Path
from digit_recognizer.aside import aside
with aside(Path(sys.argv[1]), ".fetching-") as place:
    (place / "half").write_bytes(b"half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_it_is_empty_at_first_and_gone_at_the_end(tmp_path: Path) -> None:
    with staging_folder(tmp_path, ".fetching-") as place:
        assert [path.name for path in place.iterdir() if path.name != ".lock"] == []
        (place / "file").write_text("")
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_goes_and_what_another_uses_stays(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", KILLED, tmp_path])
    assert [path.read_bytes() for path in tmp_path.glob("*/half")] == [b"half"]
    with staging_folder(tmp_path, ".fetching-") as first, staging_folder(tmp_path, ".fetching-") as second:
        assert set(tmp_path.iterdir()) == {first, second}
    assert list(tmp_path.iterdir()) == []
