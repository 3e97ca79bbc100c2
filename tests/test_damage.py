"""A flipped bit anywhere in a finished run is named, or nothing that a command makes of the run changes."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from conftest import SMOKE, in_process, one_sentence

from tenfold.storage.lock import locked

FLIPS = 20  # for each command
SEED = 0

COMMANDS = {
    "report": ["report", "run"],
    "compare": ["compare", "run", "other"],
    "blend": ["blend", "other", "run", "--out", "made"],
    "export": ["export", "run", "--out", "made"],
}
# Pages and pictures for people, which no command reads, and the log, of which damaged lines are left out.
NOT_READ = re.compile(r"report\.html|generator/(progress\.gif|\w+\.svg|networks\.md)|\.tenfold\.lock")
LOG = "metrics.jsonl"


def outcome(command: str, folder: Path) -> tuple[int, str, dict[str, bytes]]:
    """The exit code, what was printed, and the files that a command made."""
    shutil.rmtree(folder / "made", ignore_errors=True)
    (folder / "run/report.html").unlink(missing_ok=True)
    done = in_process(*COMMANDS[command], cwd=folder)
    made = [*(folder / "made").rglob("*"), folder / "run/report.html"]
    files = {str(path.relative_to(folder)): path.read_bytes() for path in made if path.is_file()}
    return done.returncode, done.stdout if done.returncode == 0 else one_sentence(done.stderr), files


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_a_flipped_bit_is_named_or_changes_nothing(
    command: str, finished_run: Path, other_run: Path, tmp_path: Path
) -> None:
    shutil.copytree(finished_run, tmp_path / "run")
    (tmp_path / "other").symlink_to(other_run)
    expected = outcome(command, tmp_path)
    assert expected[0] == 0
    paths = {str(path.relative_to(tmp_path / "run")): path for path in (tmp_path / "run").rglob("*") if path.is_file()}
    names = sorted(name for name in paths if not NOT_READ.fullmatch(name))
    rng = np.random.default_rng([SEED, *command.encode()])
    for _ in range(FLIPS):
        name = str(rng.choice(names))
        whole = paths[name].read_bytes()
        damaged = bytearray(whole)
        damaged[rng.integers(len(whole))] ^= 1 << int(rng.integers(8))
        paths[name].write_bytes(damaged)
        code, text, files = outcome(command, tmp_path)
        paths[name].write_bytes(whole)
        if name == LOG and code == 0:
            continue  # a log is never fatal, and its curves may differ
        assert (code, text, files) == expected or (code == 2 and re.search(r"\brun\b", text)), (name, text)


@pytest.mark.parametrize("name", [LOG, "data.json"])
def test_a_flipped_bit_never_ends_a_repeated_run_in_a_traceback(name: str, finished_run: Path, tmp_path: Path) -> None:
    shutil.copytree(finished_run, tmp_path / "run")
    (tmp_path / "run/done.json").unlink()  # so that the run continues
    path = tmp_path / "run" / name
    whole = path.read_bytes()
    rng = np.random.default_rng([SEED, *name.encode()])
    for _ in range(10):
        damaged = bytearray(whole)
        damaged[rng.integers(len(whole))] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        done = in_process(*SMOKE, "--only", "light", "--out", "run", cwd=tmp_path)
        if name == LOG:
            assert done.returncode == 0 and "fitted light" in done.stdout, done.stderr
        else:
            assert done.returncode == 0 or "run" in one_sentence(done.stderr)
        path.write_bytes(whole)


def test_a_run_that_is_held_is_not_exported_into(finished_run: Path, other_run: Path, tmp_path: Path) -> None:
    run = shutil.copytree(finished_run, tmp_path / "run")
    before = (run / "classifier.onnx").read_bytes()
    with locked(run):
        done = in_process("export", "run", cwd=tmp_path)
    assert done.returncode == 2 and "another tenfold is running in it" in one_sentence(done.stderr)
    done = in_process("export", other_run, "--out", "run", cwd=tmp_path)
    assert done.returncode == 2 and "run: is another run's folder" in one_sentence(done.stderr)
    assert (run / "classifier.onnx").read_bytes() == before


def test_a_damaged_submission_is_not_sent(finished_run: Path, tmp_path: Path) -> None:
    run = shutil.copytree(finished_run, tmp_path / "run")
    labels = (run / "submission.csv").read_text()
    (run / "submission.csv").write_text(labels[:-2] + ("1\n" if labels[-2] != "1" else "2\n"))
    done = in_process("submit", "run", cwd=tmp_path)
    assert done.returncode == 2 and "run/submission.csv: was changed or damaged" in one_sentence(done.stderr)
