"""Starting from another run's weights: what those have seen counts as seen here."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import tomli_w
from conftest import SMOKE, few_digits, in_process, succeeded

from tenfold.data.digits import Digits, joined
from tenfold.data.folds import NOT_VALIDATED, stratified
from tenfold.data.overlap import DataRecord, guard
from tenfold.errors import BadInput
from tenfold.evaluation.metrics import load_run_metrics
from tenfold.orchestration import warm_start
from tenfold.orchestration.warm_start import load_parent
from tenfold.run import ARTEFACTS, load_digits
from tenfold.settings import Settings, to_table
from tenfold.storage import atomic
from tenfold.storage.completion import DONE, finish
from tenfold.storage.epoch_log import ClassifierEpoch
from tenfold.storage.npz import npz
from tenfold.storage.run_folder import CLASSIFIER, OOF, SETTINGS, RunFolder

Folds = npt.NDArray[np.int64]

TRAIN, TEST = few_digits(40, seed=1), few_digits(20, seed=2)
FOLD_OF = np.arange(40) % 2
RUN = [*SMOKE, "--fit.epochs", "1", "--light.epochs", "1", "--cgan.share", "0"]
CHILD = [*RUN, "--init", "parent", "--out", "child"]


def finished_run_in(
    path: Path, settings: Settings, digits: Digits = TRAIN, fold_of: Folds = FOLD_OF, honest: bool = True
) -> Settings:
    """Write what a later run reads of a finished one; return settings that start from it."""
    atomic.write(path / SETTINGS, tomli_w.dumps(to_table(settings)).encode())
    DataRecord.of(digits, TEST, guard(digits, None, TEST, "honest" if honest else "allow")[1]).save(RunFolder(path))
    finish_run(path, digits, fold_of)
    return replace(settings, init=path)


def finish_run(path: Path, digits: Digits, fold_of: Folds) -> None:
    """Declare a run finished, with its record of which digits were in which fold."""
    fingerprints, validated = digits.fingerprints(), fold_of != NOT_VALIDATED
    arrays = npz(fingerprint=fingerprints[validated], fold=fold_of[validated], reserved=fingerprints[~validated])
    atomic.write(path / OOF, arrays)
    finish(path, [OOF], {})


def check(settings: Settings, digits: Digits = TRAIN, fold_of: Folds = FOLD_OF, test: Digits = TEST) -> None:
    """Raise BadInput where the initial weights have seen a digit that they must not have seen."""
    parent = load_parent(settings)
    assert parent
    warm_start.guard(parent, digits, fold_of, test)


@pytest.fixture
def child(tmp_path: Path) -> Settings:
    """Settings of a run that starts from one with two folds."""
    return finished_run_in(tmp_path / "parent", Settings(folds=2, nets=2))


def test_a_run_without_init_has_no_parent() -> None:
    assert load_parent(Settings()) is None


def test_nets_start_from_the_net_of_the_same_number(child: Settings, tmp_path: Path) -> None:
    parent = load_parent(child)
    assert parent and parent.light == tmp_path / "parent/light" / CLASSIFIER
    started_from = [parent.net(1, net).parent.name for net in range(3)]
    assert started_from == ["fold-1-net-0", "fold-1-net-1", "fold-1-net-0"]  # the parent has two per fold


def test_the_same_folds_are_accepted(child: Settings) -> None:
    check(child)


def test_further_training_digits_are_accepted(child: Settings) -> None:
    check(child, joined(TRAIN, few_digits(10, seed=9)), np.concatenate([FOLD_OF, np.arange(10) % 2]))


def test_weights_that_saw_a_validation_digit_are_refused(child: Settings) -> None:
    moved = FOLD_OF.copy()
    moved[6] = 1
    with pytest.raises(BadInput, match="trained on 1 digits that this run validates in fold 1"):
        check(child, fold_of=moved)


def test_weights_that_saw_a_test_digit_are_refused(child: Settings) -> None:
    with pytest.raises(BadInput, match="trained on 20 digits that this run is tested on"):
        check(child, test=TRAIN.take(np.arange(20)))


def test_a_leaked_parent_may_have_seen_test_digits(tmp_path: Path) -> None:
    leaked = finished_run_in(tmp_path / "leaked", Settings(folds=2), honest=False)
    check(leaked, test=TRAIN.take(np.arange(20)))  # the run is marked as leaked instead
    parent = load_parent(leaked)
    assert parent and not parent.overlap.honest


def test_digits_of_a_reserve_count_as_trained_on(tmp_path: Path) -> None:
    with_reserve = np.where(np.arange(40) < 4, NOT_VALIDATED, FOLD_OF)
    child = finished_run_in(tmp_path / "reserved", Settings(folds=2), fold_of=with_reserve)
    check(child, fold_of=with_reserve)
    with pytest.raises(BadInput, match="trained on 2 digits that this run validates in fold 0"):
        check(child)


def test_what_a_grandparent_saw_counts(tmp_path: Path, child: Settings) -> None:
    grandchild = finished_run_in(tmp_path / "child", child, few_digits(30, seed=5), np.arange(30) % 2)
    with pytest.raises(BadInput, match=r"the nets of .*parent were trained on 20 digits that this run validates"):
        check(grandchild, fold_of=1 - FOLD_OF)


@pytest.mark.parametrize(
    ("name", "theirs", "ours"),
    [
        ("net.channels", "16 32 48 64 96", "8 16"),
        ("light.channels", "16 32 48 64 96", "4 8"),
        ("folds", "2", "3"),
    ],
)
def test_other_nets_are_refused(name: str, theirs: str, ours: str, child: Settings) -> None:
    changed = {
        "net.channels": replace(child, net=replace(child.net, channels=(8, 16))),
        "light.channels": replace(child, light=replace(child.light, channels=(4, 8))),
        "folds": replace(child, folds=3),
    }[name]
    with pytest.raises(BadInput, match=rf"init: .*parent has {name} {theirs}, this run {ours}"):
        load_parent(changed)


def test_an_unfinished_run_is_refused(child: Settings, tmp_path: Path) -> None:
    (tmp_path / "parent" / DONE).unlink()
    with pytest.raises(BadInput, match=r"parent: no done\.json in it, so not finished; let the run that --init names"):
        load_parent(child)


def test_a_folder_that_is_not_a_run_is_refused(child: Settings, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="so not a run"):
        load_parent(replace(child, init=tmp_path))


@pytest.fixture
def parent_run(tmp_path: Path) -> RunFolder:
    """A run whose first fold is fitted, and which passes for finished."""
    succeeded(in_process(*RUN, "--only", "fold=0", "--out", "parent", cwd=tmp_path))
    run = RunFolder(tmp_path / "parent")
    settings = run.settings()
    digits, *_ = load_digits(settings, None)
    finish_run(run.path, digits, stratified(digits, settings.folds, settings.seed))
    return run


def mark_as_leaked(run: RunFolder) -> None:
    record = DataRecord.load(run)
    replace(record, overlap=replace(record.overlap, honest=False, in_test=9)).save(run)


def first_loss(run: RunFolder) -> float:
    """The loss of the first fold's net in its first epoch."""
    first, *_ = (epoch for epoch in run.epoch_log.read() if epoch.task == run.net(0, 0).name)
    assert isinstance(first, ClassifierEpoch)
    return first.loss


def test_a_run_inherits_weights_and_record(parent_run: RunFolder, tmp_path: Path) -> None:
    succeeded(in_process(*CHILD, "--only", "fold=0", cwd=tmp_path))
    child = RunFolder(tmp_path / "child")
    assert first_loss(child) < first_loss(parent_run)
    overlap = DataRecord.load(child).overlap
    assert overlap.honest and overlap.inherited == DataRecord.load(parent_run).overlap


def test_a_run_inherits_a_leak(parent_run: RunFolder, tmp_path: Path) -> None:
    mark_as_leaked(parent_run)
    out = succeeded(in_process(*CHILD, "--only", "fold=0", cwd=tmp_path))
    assert "weights trained on 9 test images" in out and "LEAKED" in out
    assert not DataRecord.load(RunFolder(tmp_path / "child")).overlap.honest


@pytest.mark.slow
def test_an_inherited_leak_marks_the_scores(finished_run: Path, tmp_path: Path) -> None:
    parent = RunFolder(shutil.copytree(finished_run, tmp_path / "parent"))
    mark_as_leaked(parent)
    finish(parent.path, ARTEFACTS, {})
    out = succeeded(in_process(*CHILD, cwd=tmp_path))
    assert "none of these scores means anything" in out
    before, after = (load_run_metrics(run) for run in (parent, RunFolder(tmp_path / "child")))
    assert before.honest and not after.honest
    assert after.cross_validation.errors < before.cross_validation.errors
