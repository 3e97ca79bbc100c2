"""A run's folder is held by one process, belongs to one set of settings, and never holds half a file."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tomli_w
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tenfold.data.digits import ORIGIN
from tenfold.errors import BadInput
from tenfold.settings import Fit, Settings, to_table
from tenfold.storage import atomic, run_contents
from tenfold.storage.completion import finish, finished, require_finished
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


def files_below(folder: Path) -> dict[str, bytes]:
    """Every file by its path."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


OF_A_RUN = ["fold-0-net-0/done.json", "generator/grids/epoch-001.png", "oof.npz", ".oof.npz.ab12cd_3.part"]
OF_OTHERS = ["thesis.doc", "fold-0-net-0/notes.txt", "mine/oof.npz", ".thesis.doc.ab12cd_3.part", "submissions.json"]


def test_a_fresh_start_removes_a_runs_own_files_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, elsewhere = tmp_path / "run", tmp_path / "elsewhere"
    with hold(run, Settings(), fresh=False):
        before = files_below(run).keys()
        for name in (*OF_A_RUN, *OF_OTHERS, "../elsewhere/classifier.safetensors"):
            (run / name).parent.mkdir(parents=True, exist_ok=True)
            (run / name).write_bytes(b"1")
        (run / "light").symlink_to(elsewhere)
        (run / "empty").mkdir()
    with hold(run, Settings(), fresh=True):
        assert files_below(run).keys() == before | set(OF_OTHERS)
        assert not (run / "generator").exists() and not (run / "light").is_symlink() and (run / "empty").is_dir()
    assert files_below(elsewhere) == {"classifier.safetensors": b"1"}
    left = ".thesis.doc.ab12cd_3.part, empty, fold-0-net-0, mine, submissions.json, thesis.doc"
    assert f"run: left as they are: {left}" in capsys.readouterr().out


def test_every_file_of_a_run_is_known_as_its_own(finished_run: Path, tmp_path: Path) -> None:
    shutil.copytree(finished_run, tmp_path / "run")
    assert run_contents.remove_run(tmp_path / "run") == []
    assert files_below(tmp_path / "run").keys() == {run_contents.MARKER, run_contents.LOCK}


NOT_RUNS = {
    "diary": {"diary.txt": b"dear diary"},
    "settings_of_another_program": {"settings.toml": b"", ".settings.toml.ab12cd_3.part": b"", "a/.b.part": b"half"},
    "settings_like_ours": {"settings.toml": tomli_w.dumps(to_table(Settings())).encode()},
    "lock": {".lock": b""},
    "marker_of_another_program": {"tenfold.json": b'{"program": "other"}', "metrics.json": b"{}"},
    "deep_marker": {"tenfold.json": b"[" * 100_000},
}


@pytest.mark.parametrize("files", NOT_RUNS.values(), ids=NOT_RUNS)
@pytest.mark.parametrize("fresh", [False, True])
def test_a_folder_with_other_files_is_refused_untouched(fresh: bool, files: dict[str, bytes], tmp_path: Path) -> None:
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    assert "holds files that are not a run's" in refusal(tmp_path, fresh=fresh)
    assert files_below(tmp_path) == files


def test_a_run_killed_while_it_marked_its_folder_continues(tmp_path: Path) -> None:
    for name in (run_contents.LOCK, f".{run_contents.MARKER}.ab12cd_3.part"):
        (tmp_path / name).touch()
    with hold(tmp_path, Settings(), fresh=False) as run:
        assert run.settings() == Settings()
        assert not list(tmp_path.glob("*.part"))


def test_refused_settings_leave_everything_as_it_was(tmp_path: Path) -> None:
    with hold(tmp_path, Settings(), fresh=False):
        (tmp_path / ".oof.npz.ab12cd_3.part").write_bytes(b"half")
    before = files_below(tmp_path)
    assert "other settings" in refusal(tmp_path, Settings(seed=3))
    assert files_below(tmp_path) == before


@pytest.fixture
def named_pipe(tmp_path: Path) -> Iterator[Path]:
    """A named pipe that is open for reading."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    yield path
    os.close(reader)


def test_a_pipe_is_written_to_and_stays(named_pipe: Path) -> None:
    reader = os.open(named_pipe, os.O_RDONLY | os.O_NONBLOCK)
    atomic.write(named_pipe, b"digits")
    assert os.read(reader, 100) == b"digits" and named_pipe.is_fifo()
    os.close(reader)


def test_a_device_is_written_to_and_stays(tmp_path: Path) -> None:
    device = tmp_path / "null"
    try:
        os.mknod(device, 0o666 | stat.S_IFCHR, os.makedev(1, 3))  # as /dev/null
        device.write_bytes(b"")
    except PermissionError:
        pytest.skip("this machine makes no devices")
    atomic.write(device, b"digits")
    assert device.is_char_device() and list(tmp_path.iterdir()) == [device]


@pytest.mark.parametrize("stream", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])
def test_a_stream_into_a_file_keeps_what_the_file_has(tmp_path: Path, stream: str) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"before\n")
    code = f"from pathlib import Path; from tenfold.storage import atomic; atomic.write(Path({stream!r}), b'digits')"
    with log.open("ab") as file:
        subprocess.run([sys.executable, "-c", code], stdout=file, check=True)
    assert log.read_bytes() == b"before\ndigits" and list(tmp_path.iterdir()) == [log]


def test_a_link_to_itself_is_refused_and_stays(tmp_path: Path) -> None:
    link = tmp_path / "loop"
    link.symlink_to("loop")
    with pytest.raises(OSError, match="symbolic links"):
        atomic.write(link, b"digits")
    assert link.is_symlink() and list(tmp_path.iterdir()) == [link]


@pytest.mark.parametrize("exists", [False, True])
def test_what_a_link_points_to_is_written(exists: bool, tmp_path: Path) -> None:
    target, link = tmp_path / "far/target.csv", tmp_path / "link.csv"
    target.parent.mkdir()
    if exists:
        target.write_bytes(b"old")
    link.symlink_to("far/target.csv")
    atomic.write(link, b"new")
    assert link.is_symlink() and target.read_bytes() == b"new"


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
    with pytest.raises(BadInput, match=r"weights: was changed or damaged after it was written; fit it"):
        require_finished(tmp_path, "fit it")
    (tmp_path / "weights").unlink()
    with pytest.raises(BadInput, match=r"weights: is missing; fit it"):
        require_finished(tmp_path, "fit it")
    with pytest.raises(BadInput, match=r"no done.json in it, so not finished; fit it"):
        require_finished(tmp_path / "nowhere", "fit it")


def test_any_flipped_bit_of_the_declaration_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "weights").write_bytes(b"1234")
    finish(tmp_path, ["weights"], {"variety": 0.75})
    declared = (tmp_path / "done.json").read_bytes()
    content = json.loads(declared)
    for bit in range(8 * len(declared)):
        damaged = bytearray(declared)
        damaged[bit // 8] ^= 1 << bit % 8
        (tmp_path / "done.json").write_bytes(damaged)
        done = finished(tmp_path)
        assert done is None or done.items() <= content.items()  # a changed space between values changes nothing


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
