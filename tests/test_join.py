"""The parts of one run in one folder: what they make together, and what does not belong together."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import differing, in_process, refused, succeeded

from tenfold.storage.checkpoint import FORMAT
from tenfold.storage.completion import finish
from tenfold.storage.run_folder import GENERATOR, RunFolder

PARTS = {
    "a": ["fold-0-generator", "fold-0-net-0"],
    "b": ["fold-1-generator", "fold-1-net-0", "light", "generator"],
}


@pytest.fixture
def parts(finished_run: Path, tmp_path: Path) -> Path:
    """The folder with the parts of a finished run, as `tenfold run --only` leaves them."""
    for part, names in PARTS.items():
        (tmp_path / part).mkdir()
        for name in ("settings.toml", "environment.json", "data.json"):
            shutil.copy(finished_run / name, tmp_path / part)
        for name in names:
            shutil.copytree(finished_run / name, tmp_path / part / name)
        for epoch in RunFolder(finished_run).epoch_log.read():
            if epoch.task in names:
                RunFolder(tmp_path / part).epoch_log.append(epoch)
    return tmp_path


def change(path: Path, **entries: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | entries))


def test_all_parts_together_give_the_bytes_of_one_run(finished_run: Path, parts: Path) -> None:
    text = succeeded(in_process("join", "a", "b", "--out", "whole", cwd=parts))
    assert " epochs in " not in text and "cross-validation: " in text
    assert differing(parts / "whole", finished_run) == []
    whole, alone = (sorted(RunFolder(run).epoch_log.read(), key=str) for run in (parts / "whole", finished_run))
    assert whole == alone


@pytest.mark.slow
def test_what_is_missing_is_named_and_can_be_joined_later(finished_run: Path, parts: Path) -> None:
    for _ in range(2):  # the second time changes nothing
        text = succeeded(in_process("join", "a", "--out", "whole", cwd=parts))
        assert "fold=1, light, generator" in text
        assert "tenfold run --config whole/settings.toml --only fold=1 --out FOLDER" in text
    assert len(RunFolder(parts / "whole").epoch_log.read()) == 3
    assert "cross-validation: " in succeeded(in_process("join", "b", "--out", "whole", cwd=parts))
    assert differing(parts / "whole", finished_run) == []


def test_a_training_that_differs_between_parts_is_named(parts: Path) -> None:
    shutil.copytree(parts / "a", parts / "c")
    finish(parts / "c/fold-0-generator", [GENERATOR], {"format": FORMAT, "variety": 0.5})
    text = succeeded(in_process("join", "a", "c", "--out", "whole", cwd=parts))
    assert "note: fold-0-generator " in text


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("join a ./a --out whole", "named twice"),
        ("join a --out a", "named twice"),
        ("join a nowhere --out whole", "nowhere: "),
    ],
)
def test_parts_that_are_no_two_runs_are_refused(command: str, reason: str, parts: Path) -> None:
    assert reason in refused(*command.split(), cwd=parts)
    assert sorted(path.name for path in parts.iterdir()) == ["a", "b"]


def other_settings(part: Path) -> None:
    text = (part / "settings.toml").read_text()
    (part / "settings.toml").write_text(text.replace("seed = 0", "seed = 3"))


def other_digits(part: Path) -> None:
    change(part / "data.json", train_sha256="0")


def unfinished(part: Path) -> None:
    (part / "light/done.json").unlink()


def nothing_fitted(part: Path) -> None:
    for name in PARTS[part.name]:
        shutil.rmtree(part / name)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (other_settings, ["settings", "seed is 3"]),
        (other_digits, ["digits"]),
        (unfinished, ["light", "unfinished"]),
        (nothing_fitted, ["nothing"]),
    ],
)
def test_parts_of_different_runs_are_refused(spoil: Callable[[Path], None], words: list[str], parts: Path) -> None:
    spoil(parts / "b")
    sentence = refused("join", "a", "b", "--out", "whole", cwd=parts)
    assert all(word in sentence for word in ["b: ", *words]), sentence
    assert sorted(path.name for path in parts.iterdir()) == ["a", "b"]


def test_a_folder_of_another_run_takes_no_parts(parts: Path) -> None:
    shutil.copytree(parts / "a", parts / "whole")
    change(parts / "whole/data.json", test_sha256="0")
    sentence = refused("join", "a", "--out", "whole", cwd=parts)
    assert "whole: " in sentence and "digits" in sentence
