"""Beginning with another run's nets, and what that may not hide."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import SMOKE, few_digits, tenfold

from tenfold.data.overlap import Overlap
from tenfold.errors import BadInput
from tenfold.orchestration import warm_start
from tenfold.run import ARTEFACTS
from tenfold.settings import Settings, to_table
from tenfold.storage import atomic
from tenfold.storage.completion import finish
from tenfold.storage.npz import npz
from tenfold.storage.run_folder import DATA, RunFolder

QUICK = ["--fit.epochs", "1", "--light.epochs", "1", "--cgan.share", "0", "--cgan.width", "4"]
TRAIN, TEST = few_digits(40, seed=1), few_digits(20, seed=2)
FOLDS = np.arange(40) % 2


def ended_run(path: Path, settings: Settings, digits=TRAIN, folds=FOLDS, honest: bool = True) -> Settings:  # type: ignore[no-untyped-def]
    """A run's folder with what a later one looks at; gives settings that begin with it."""
    import tomli_w

    run = RunFolder(path)
    atomic.write(path / "settings.toml", tomli_w.dumps(to_table(settings)).encode())
    run.write_json(DATA, {"overlap": {"honest": honest, "in_test": 3}})
    answers = npz(
        fingerprint=digits.fingerprints()[folds >= 0], fold=folds[folds >= 0], reserved=digits.fingerprints()[folds < 0]
    )
    atomic.write(path / "oof.npz", answers)
    finish(path, ["oof.npz"], {})
    return replace(settings, init=path)


def guarded(settings: Settings, digits=TRAIN, folds=FOLDS, test=TEST) -> None:  # type: ignore[no-untyped-def]
    parent = warm_start.parent(settings)
    assert parent
    warm_start.guard(parent, digits, folds, test)


@pytest.fixture
def child(tmp_path: Path) -> Settings:
    return ended_run(tmp_path / "parent", Settings(folds=2))


def test_the_same_folds_may_begin_with_each_other(child: Settings) -> None:
    guarded(child)


def test_a_net_that_saw_a_validation_digit_is_refused(child: Settings) -> None:
    moved = FOLDS.copy()
    moved[6] = 1
    with pytest.raises(BadInput, match="trained on 1 digits that this run validates in fold 1"):
        guarded(child, folds=moved)


def test_a_net_that_saw_a_test_digit_is_refused(child: Settings) -> None:
    with pytest.raises(BadInput, match="trained on 20 digits that this run is tested on"):
        guarded(child, test=TRAIN.take(np.arange(20)))


def test_what_was_in_the_reserve_was_trained_on(tmp_path: Path) -> None:
    reserved = FOLDS.copy()
    reserved[:4] = -1
    child = ended_run(tmp_path / "reserved", Settings(folds=2), folds=reserved)
    guarded(child, folds=reserved)
    with pytest.raises(BadInput, match="trained on 2 digits that this run validates in fold 0"):
        guarded(child)


def test_further_digits_may_be_trained_on(child: Settings) -> None:
    from tenfold.data.digits import joined

    more = few_digits(10, seed=9)
    guarded(child, joined(TRAIN, more), np.concatenate([FOLDS, np.arange(10) % 2]))


def test_what_a_grandparent_saw_counts(tmp_path: Path, child: Settings) -> None:
    grandchild = ended_run(tmp_path / "child", child, digits=few_digits(30, seed=5), folds=np.arange(30) % 2)
    with pytest.raises(BadInput, match=r"the nets of .*parent were trained on 20 digits that this run validates"):
        guarded(grandchild, folds=1 - FOLDS)


def test_other_nets_and_unfinished_runs_are_refused(tmp_path: Path, child: Settings) -> None:
    with pytest.raises(BadInput, match=r"has net.channels 16 32 48 64 96, this run 8 16; ask for the same"):
        warm_start.parent(replace(child, net=replace(child.net, channels=(8, 16))))
    with pytest.raises(BadInput, match="has folds 2, this run 3"):
        warm_start.parent(replace(child, folds=3))
    (tmp_path / "parent/done.json").unlink()
    with pytest.raises(BadInput, match="is not finished"):
        warm_start.parent(child)
    with pytest.raises(BadInput, match="is no run's folder"):
        warm_start.parent(replace(child, init=tmp_path))


def test_a_leaked_parent_makes_a_leaked_child_say_so() -> None:
    seen = Overlap("honest", 1, 0, 0, 0, 0, 1, honest=False, inherited={"honest": False, "in_test": 7})
    assert "were trained on 7 test images" in seen.sentence() and "LEAKED" in seen.sentence()


@pytest.mark.slow
def test_a_run_goes_on_from_another_and_inherits_its_record(finished_run: Path, tmp_path: Path) -> None:
    shutil.copytree(finished_run, tmp_path / "parent")
    done = tenfold(*SMOKE, *QUICK, "--init", "parent", "--out", "child", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    before, after = (json.loads((tmp_path / run / "metrics.json").read_text()) for run in ("parent", "child"))
    assert after["cross_validation"]["errors"] < before["cross_validation"]["errors"]
    assert after["honest"] is True and after["overlap"]["inherited"] == before["overlap"]

    data = json.loads((tmp_path / "parent/data.json").read_text())
    data["overlap"] |= {"honest": False, "in_test": 9}
    (tmp_path / "parent/data.json").write_text(json.dumps(data))
    finish(tmp_path / "parent", ARTEFACTS, {})
    done = tenfold(*SMOKE, *QUICK, "--init", "parent", "--out", "leaked", cwd=tmp_path)
    assert done.returncode == 0 and "LEAKED" in done.stdout
    assert json.loads((tmp_path / "leaked/metrics.json").read_text())["honest"] is False
