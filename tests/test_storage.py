"""A run's folder is held by one process, belongs to one set of settings, and never holds half a file."""

from __future__ import annotations

import contextlib
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
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tenfold.data.digits import ORIGIN
from tenfold.errors import BadInput
from tenfold.settings import Fit, Settings
from tenfold.storage import atomic
from tenfold.storage.completion import finish, finished
from tenfold.storage.environment import environment, processor_named
from tenfold.storage.epoch_log import ClassifierEpoch, EpochLog
from tenfold.storage.lock import hold
from tenfold.storage.npz import npz, read_npz
from tenfold.storage.run_folder import ENVIRONMENT, RunFolder


def refusal(path: Path, requested: Settings | None = None, fresh: bool = False) -> str:
    """Why the folder of a run can't be held."""
    with pytest.raises(BadInput) as caught, hold(path, requested or Settings(), fresh):
        pass
    return str(caught.value)


def test_a_held_folder_has_settings_and_environment(tmp_path: Path) -> None:
    requested = Settings(seed=7, fit=Fit(lr=0.0123))
    with hold(tmp_path / "run", requested, fresh=False) as run:
        assert run.settings() == requested
        assert run.read_json(ENVIRONMENT) == environment()


def test_other_settings_are_refused_and_named(tmp_path: Path) -> None:
    with hold(tmp_path, Settings(), fresh=False):
        pass
    other = replace(Settings(), seed=3, fit=Fit(epochs=99))
    assert "settings (seed is 3 instead of 0; fit.epochs is 99 instead of 12)" in refusal(tmp_path, other)
    with hold(tmp_path, other, fresh=True) as run:
        assert run.settings() == other


def test_a_fresh_start_empties_a_run(tmp_path: Path) -> None:
    with hold(tmp_path, Settings(), fresh=False):
        (tmp_path / "fold-0").mkdir()
        (tmp_path / "fold-0" / "done.json").write_text("{}")
        (tmp_path / "linked").symlink_to(tmp_path / "fold-0")
    with hold(tmp_path, Settings(), fresh=True):
        assert not (tmp_path / "fold-0").exists() and not (tmp_path / "linked").is_symlink()


@pytest.mark.parametrize("fresh", [False, True])
def test_a_folder_with_other_files_is_refused_untouched(fresh: bool, tmp_path: Path) -> None:
    (tmp_path / "diary.txt").write_text("dear diary")
    assert "holds files that are not a run's" in refusal(tmp_path, fresh=fresh)
    assert [path.name for path in tmp_path.iterdir()] == ["diary.txt"]


def test_a_folder_in_use_is_refused_until_it_is_released(tmp_path: Path) -> None:
    with hold(tmp_path, Settings(), fresh=False):
        assert "another tenfold is running in it" in refusal(tmp_path)
        assert "another tenfold is running in it" in refusal(tmp_path, fresh=True)
    with hold(tmp_path, Settings(), fresh=False):
        pass


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("")
    assert "run: must be a folder, is a file" in refusal(tmp_path / "run")


@pytest.mark.parametrize("content", [b"seed = ", b"seed = 'one'", b"speed = 1", b"\xff"])
def test_damaged_settings_are_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "settings.toml").write_bytes(content)
    with pytest.raises(BadInput, match=r"settings.toml: can't be read as settings \(.*--fresh"):
        RunFolder(tmp_path).settings()


def test_a_folder_without_settings_is_not_a_run(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"no settings\.toml in it, so not a run"):
        RunFolder(tmp_path).settings()


def test_a_result_counts_only_while_its_files_are_unchanged(tmp_path: Path) -> None:
    (tmp_path / "weights").write_bytes(b"1234")
    assert finished(tmp_path) is None
    finish(tmp_path, ["weights"], {"fold": 3})
    assert (finished(tmp_path) or {})["fold"] == 3
    (tmp_path / "weights").write_bytes(b"1235")
    assert finished(tmp_path) is None
    (tmp_path / "weights").unlink()
    assert finished(tmp_path) is None


def test_equal_arrays_give_equal_bytes_and_are_read_back(tmp_path: Path) -> None:
    content = npz(a=np.arange(3), b=np.ones(2))
    assert content == npz(a=np.arange(3), b=np.ones(2))
    (tmp_path / "arrays.npz").write_bytes(content)
    read = read_npz(tmp_path / "arrays.npz", ("a", "b"), "")
    assert (read["a"] == np.arange(3)).all() and (read["b"] == np.ones(2)).all()


@pytest.mark.parametrize("content", [None, b"", npz(a=np.arange(3))[:50], npz(b=np.arange(3))], ids=repr)
def test_unreadable_arrays_are_refused(content: bytes | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "arrays.npz").write_bytes(content)
    with pytest.raises(BadInput, match=r"arrays.npz: can't be read \(.*\); repeat it"):
        read_npz(tmp_path / "arrays.npz", ("a",), "repeat it")


@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_flipped_bit_never_crashes_the_reader(data: st.DataObject, tmp_path: Path) -> None:
    content = bytearray(npz(a=np.arange(3), origin=np.zeros(2, ORIGIN)))
    content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    (tmp_path / "arrays.npz").write_bytes(content)
    with contextlib.suppress(BadInput):
        assert read_npz(tmp_path / "arrays.npz", ("a", "origin"), "repeat it").keys() == {"a", "origin"}


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """A limit on the size of files, in place of a full disk: both refuse in the middle of a write."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_failed_write_leaves_the_old_file_alone(tmp_path: Path) -> None:
    atomic.write(tmp_path / "file", b"old")
    with files_of_at_most(1000), pytest.raises(OSError, match=r"File too large: '.*/file'$"):
        atomic.write(tmp_path / "file", os.urandom(5000))
    assert (tmp_path / "file").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_partly_written_line_is_an_error_and_is_removed(tmp_path: Path) -> None:
    log = EpochLog(tmp_path)
    first, second = (ClassifierEpoch(task="light", epoch=number, epochs=2, loss=0.5) for number in (1, 2))
    log.append(first)
    with files_of_at_most(log.path.stat().st_size + 5), pytest.raises(OSError, match="No space left"):
        log.append(second)
    log.cut("light", "classifier", 1)
    log.append(second)
    assert log.read() == [first, second]


def child_environment() -> dict[str, str]:
    """What lets a new process import the modules that this one can."""
    return os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}


KILLED_WRITE = """
import os, signal, sys
from pathlib import Path
from tenfold.storage import atomic

os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)
atomic.write(Path(sys.argv[1]), b"half")
"""


def test_remains_of_a_killed_write_go_at_the_next_start(tmp_path: Path) -> None:
    with hold(tmp_path, Settings(), fresh=False):
        before = {path.name for path in tmp_path.iterdir()}
    for name in ("submission.csv", "fold-0-net-0/classifier.safetensors"):
        killed = subprocess.run([sys.executable, "-c", KILLED_WRITE, tmp_path / name], env=child_environment())
        assert killed.returncode < 0
    assert len(list(tmp_path.rglob(f"*{atomic.PART}"))) == 2
    with hold(tmp_path, Settings(), fresh=False):
        assert {path.name for path in tmp_path.iterdir()} == before | {"fold-0-net-0"}
        assert list((tmp_path / "fold-0-net-0").iterdir()) == []


FILES = [("0/a.png", b"first"), ("1/b.png", b"second")]


def test_a_folder_appears_in_one_step(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "set"

    def files() -> Iterator[tuple[str, bytes]]:
        for file in FILES:
            assert not folder.exists()
            yield file

    atomic.write_folder(folder, files())
    assert {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.png")} == dict(FILES)
    assert list((tmp_path / "deep").iterdir()) == [folder]


def test_an_interrupted_folder_does_not_appear(tmp_path: Path) -> None:
    def interrupted() -> Iterator[tuple[str, bytes]]:
        yield from FILES
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        atomic.write_folder(tmp_path / "set", interrupted())
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_never_overwritten(tmp_path: Path) -> None:
    atomic.write_folder(tmp_path / "set", FILES)
    with pytest.raises(OSError):
        atomic.write_folder(tmp_path / "set", [("2/c.png", b"third")])
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
def test_a_processor_is_named_with_its_instruction_set(flags: str, name: str) -> None:
    core = f"processor\t: {{}}\nmodel name\t: A CPU\nflags\t\t: {flags}\n\n"
    assert processor_named(core.format(0) + core.format(1)) == name
