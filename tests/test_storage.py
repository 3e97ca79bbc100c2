"""A run's folder is held by one process, belongs to one set of settings, and never holds half a file."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tenfold.errors import BadInput
from tenfold.settings import Fit, Settings, differences, from_table, to_table
from tenfold.storage import atomic
from tenfold.storage.completion import finish, finished
from tenfold.storage.environment import processor_named
from tenfold.storage.lock import hold
from tenfold.storage.npz import npz
from tenfold.storage.run_folder import EPOCHS, RunFolder


def test_settings_survive_being_stored(tmp_path: Path) -> None:
    asked = Settings(seed=7, fit=Fit(lr=0.0123))
    with hold(tmp_path / "run", asked, fresh=False) as run:
        assert run.settings() == asked


def test_other_settings_are_refused_with_the_difference_named(tmp_path: Path) -> None:
    with hold(tmp_path, Settings(), fresh=False):
        pass
    other = replace(Settings(), seed=3, fit=Fit(epochs=99))
    with pytest.raises(BadInput, match=r"seed is 0, 3 is asked for; fit.epochs is \d+, 99 is asked for"):
        hold(tmp_path, other, fresh=False).__enter__()
    with hold(tmp_path, other, fresh=True) as run:
        assert run.settings() == other


def test_differences_are_none_for_equals_and_name_nested_ones() -> None:
    assert differences(to_table(Settings()), to_table(Settings())) == []
    assert from_table(to_table(Settings())) == Settings()


def test_starting_afresh_empties_a_run_but_never_a_strangers_folder(tmp_path: Path) -> None:
    with hold(tmp_path / "run", Settings(), fresh=False):
        (tmp_path / "run" / "fold-0").mkdir()
        (tmp_path / "run" / "fold-0" / "done.json").write_text("{}")
    with hold(tmp_path / "run", Settings(), fresh=True):
        assert not (tmp_path / "run" / "fold-0").exists()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "diary.txt").write_text("dear diary")
    with pytest.raises(BadInput, match="holds files that are no run's"):
        hold(tmp_path / "mine", Settings(), fresh=True).__enter__()
    assert (tmp_path / "mine" / "diary.txt").read_text() == "dear diary"


def test_a_second_process_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    program = (
        "from pathlib import Path; from tenfold.record import opened; from tenfold.settings import Settings\n"
        f"opened(Path({str(tmp_path)!r}), Settings(), fresh=False).__enter__()"
    )
    with hold(tmp_path, Settings(), fresh=False):
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert "another tenfold is running in it" in done.stderr
    assert subprocess.run([sys.executable, "-c", program], capture_output=True).returncode == 0


def test_a_file_in_the_folders_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("")
    with pytest.raises(BadInput, match="is a file where the run's folder belongs"):
        hold(tmp_path / "run", Settings(), fresh=False).__enter__()


def test_a_task_counts_as_finished_only_while_its_files_are_unchanged(tmp_path: Path) -> None:
    (tmp_path / "weights").write_bytes(b"1234")
    assert finished(tmp_path) is None
    finish(tmp_path, ["weights"], {"fold": 3})
    assert (finished(tmp_path) or {})["fold"] == 3
    (tmp_path / "weights").write_bytes(b"1235")
    assert finished(tmp_path) is None
    (tmp_path / "weights").unlink()
    assert finished(tmp_path) is None


def test_the_log_is_cut_back_to_what_a_checkpoint_covers(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    for task in ("fold-0", "fold-1"):
        for epoch in (1, 2, 3):
            run.append_epoch({"task": task, "stage": "classifier", "epoch": epoch})
    with (tmp_path / EPOCHS).open("a") as log:
        log.write('{"task": "fold-1", "stage": "cla')  # cut short by a kill
    run.forget_epochs_after("fold-0", "classifier", 1)
    assert [(line["task"], line["epoch"]) for line in run.epochs()] == [
        ("fold-0", 1),
        ("fold-1", 1),
        ("fold-1", 2),
        ("fold-1", 3),
    ]


def test_the_same_arrays_give_the_same_bytes() -> None:
    assert npz(a=np.arange(3), b=np.ones(2)) == npz(a=np.arange(3), b=np.ones(2))


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """A limit on the size of files, which stands for a full disk: both refuse in the middle of a write."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_line_that_was_written_in_part_is_an_error_and_is_cut_away(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    first, second = ({"task": "light", "stage": "classifier", "epoch": epoch} for epoch in (1, 2))
    run.append_epoch(first)
    with files_of_at_most((tmp_path / EPOCHS).stat().st_size + 5), pytest.raises(OSError, match="No space left"):
        run.append_epoch(second)
    run.forget_epochs_after("light", "classifier", 1)
    run.append_epoch(second)
    assert run.epochs() == [first, second]


def test_what_a_killed_write_left_is_removed_at_the_next_start(tmp_path: Path) -> None:
    program = (
        "import os, signal, sys; from pathlib import Path; from tenfold import atomic\n"
        "os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)\n"
        "atomic.write(Path(sys.argv[1]), b'half')"
    )
    with hold(tmp_path, Settings(), fresh=False):
        whole = {path.name for path in tmp_path.iterdir()}
    for place in ("submission.csv", "fold-0-net-0/classifier.safetensors"):
        subprocess.run([sys.executable, "-c", program, tmp_path / place])
    assert len(list(tmp_path.rglob(f"*{atomic.PART}"))) == 2
    with hold(tmp_path, Settings(), fresh=False):
        assert {path.name for path in tmp_path.iterdir()} == whole | {"fold-0-net-0"}
        assert list((tmp_path / "fold-0-net-0").iterdir()) == []


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    atomic.write(tmp_path / "file", b"old")
    with files_of_at_most(1000), pytest.raises(OSError, match=r"File too large: '.*/file'$"):
        atomic.write(tmp_path / "file", os.urandom(5000))
    assert (tmp_path / "file").read_bytes() == b"old"
    assert [file.name for file in tmp_path.iterdir()] == ["file"]


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    def files() -> Iterator[tuple[str, bytes]]:
        yield "0/a.png", b"first"
        assert not (tmp_path / "deep" / "set").exists()
        yield "1/b.png", b"second"

    def broken() -> Iterator[tuple[str, bytes]]:
        yield from files()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        atomic.write_folder(tmp_path / "deep" / "set", broken())
    assert list((tmp_path / "deep").iterdir()) == []
    atomic.write_folder(tmp_path / "deep" / "set", files())
    there = {str(path.relative_to(tmp_path)): path.read_bytes() for path in tmp_path.rglob("*.png")}
    assert there == {"deep/set/0/a.png": b"first", "deep/set/1/b.png": b"second"}
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["set"]
    with pytest.raises(OSError):
        atomic.write_folder(tmp_path / "deep" / "set", [("2/c.png", b"third")])
    assert len(list(tmp_path.rglob("*.png"))) == 2


@pytest.mark.parametrize(
    ("flags", "name"),
    [
        ("fpu sse2", "A CPU"),
        ("fpu avx avx2 fma", "A CPU with AVX2"),
        ("avx2 avx512f avx512_bf16", "A CPU with AVX-512 and bf16"),
        ("avx2 avx512f avx512_bf16 amx_bf16", "A CPU with AMX"),
    ],
)
def test_a_processor_is_named_with_its_widest_arithmetic(flags: str, name: str) -> None:
    core = f"processor\t: {{}}\nmodel name\t: A CPU\nflags\t\t: {flags}\n\n"
    assert processor_named(core.format(0) + core.format(1)) == name
