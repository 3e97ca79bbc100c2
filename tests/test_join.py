"""The parts of one run in one folder: what they make together, and what does not belong together."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from conftest import tenfold
from test_cli import refused
from test_run import differing

from tenfold.storage.run_folder import RunFolder


@pytest.fixture
def parts(finished_run: Path, tmp_path: Path) -> Path:
    """The folder in which the parts of a finished run lie, as `tenfold run --only` leaves them."""
    names = {"a": ["fold-0-generator", "fold-0-net-0"], "b": ["fold-1-generator", "fold-1-net-0", "light", "generator"]}
    for part, places in names.items():
        for name in ("settings.toml", "environment.json", "data.json"):
            (tmp_path / part).mkdir(exist_ok=True)
            shutil.copy(finished_run / name, tmp_path / part)
        for place in places:
            shutil.copytree(finished_run / place, tmp_path / part / place)
        for line in RunFolder(finished_run).epochs():
            if line["task"] in places:
                RunFolder(tmp_path / part).append_epoch(line)
    return tmp_path


def test_all_parts_together_end_with_the_bytes_of_a_run_on_one_machine(finished_run: Path, parts: Path) -> None:
    done = tenfold("join", "a", "b", "--out", "whole", cwd=parts)
    assert done.returncode == 0, done.stderr
    assert " epochs in " not in done.stdout and "cross-validation: " in done.stdout
    assert differing(parts / "whole", finished_run) == []
    whole, alone = (sorted(RunFolder(run).epochs(), key=str) for run in (parts / "whole", finished_run))
    assert whole == alone


def test_what_is_missing_is_said_and_can_be_joined_later(finished_run: Path, parts: Path) -> None:
    for _ in range(2):  # again changes nothing
        done = tenfold("join", "a", "--out", "whole", cwd=parts)
        assert done.returncode == 0, done.stderr
        assert "left to fit: fold=1, light, generator" in done.stdout
        assert "`tenfold run --config whole/settings.toml --only fold=1 --out FOLDER`" in done.stdout
    assert len(RunFolder(parts / "whole").epochs()) == 3
    done = tenfold("join", "b", "--out", "whole", cwd=parts)
    assert done.returncode == 0, done.stderr
    assert differing(parts / "whole", finished_run) == []


def test_a_training_that_came_out_otherwise_in_another_part_is_told(parts: Path) -> None:
    shutil.copytree(parts / "a", parts / "c")
    done = json.loads((parts / "c/fold-0-generator/done.json").read_text())
    (parts / "c/fold-0-generator/done.json").write_text(json.dumps(done | {"other": 1}))
    said = tenfold("join", "a", "c", "--out", "whole", cwd=parts)
    assert said.returncode == 0, said.stderr
    assert "note: fold-0-generator came out otherwise in c than in another part, which is kept" in said.stdout


def test_parts_that_do_not_belong_together_are_refused_and_nothing_is_written(parts: Path) -> None:
    assert "is named twice" in refused("join", "a", "./a", "--out", "whole", cwd=parts)
    assert "is named twice" in refused("join", "a", "--out", "a", cwd=parts)
    assert "nowhere: is no run's folder" in refused("join", "a", "nowhere", "--out", "whole", cwd=parts)
    settings = (parts / "b/settings.toml").read_text()
    (parts / "b/settings.toml").write_text(settings.replace("seed = 0", "seed = 3"))
    assert "b: has other settings than a (seed is 0, 3 there)" in refused("join", "a", "b", "--out", "w", cwd=parts)
    (parts / "b/settings.toml").write_text(settings)
    data = json.loads((parts / "b/data.json").read_text())
    (parts / "b/data.json").write_text(json.dumps(data | {"train_sha256": "0"}))
    assert "b: was run on other digits than a" in refused("join", "a", "b", "--out", "whole", cwd=parts)
    (parts / "b/data.json").write_text(json.dumps(data))
    (parts / "b/light/done.json").unlink()
    assert "b: light is unfinished in it" in refused("join", "a", "b", "--out", "whole", cwd=parts)
    for name in ("fold-1-generator", "fold-1-net-0", "light", "generator"):
        shutil.rmtree(parts / "b" / name)
    assert "b: nothing is fitted in it yet" in refused("join", "a", "b", "--out", "whole", cwd=parts)
    assert sorted(path.name for path in parts.iterdir()) == ["a", "b"]


def test_a_folder_of_another_run_takes_no_parts(finished_run: Path, parts: Path) -> None:
    shutil.copytree(parts / "a", parts / "whole")
    data = json.loads((parts / "a/data.json").read_text())
    (parts / "whole/data.json").write_text(json.dumps(data | {"test_sha256": "0"}))
    assert "whole: was run on other digits than a" in refused("join", "a", "--out", "whole", cwd=parts)
