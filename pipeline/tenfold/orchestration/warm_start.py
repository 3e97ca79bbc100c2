"""`--init`: starting from another run's weights. What those have seen counts as seen here.

A net of this run starts from the other run's net of the same number. If that one was trained on a digit that this
run validates or is tested on, the score would be a leak. So every digit that any ancestor trained on is checked.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tenfold.data.digits import Digits
from tenfold.data.folds import NOT_VALIDATED
from tenfold.data.overlap import DataRecord, Overlap
from tenfold.errors import BadInput
from tenfold.settings import Settings
from tenfold.storage.completion import require_finished
from tenfold.storage.npz import read_npz
from tenfold.storage.run_folder import CLASSIFIER, OOF, RunFolder


@dataclass(frozen=True)
class Parent:
    """A finished run whose weights another run starts from."""

    run: RunFolder
    settings: Settings
    overlap: Overlap

    def net(self, fold: int, net: int) -> Path:
        """The initial weights of one of a fold's nets."""
        return self.run.net(fold, net % self.settings.nets) / CLASSIFIER

    @property
    def light(self) -> Path:
        """The initial weights of the light net."""
        return self.run.light / CLASSIFIER


def load_parent(settings: Settings) -> Parent | None:
    """The run that `settings.init` names. Raises BadInput where it is not a run, unfinished, or has other nets."""
    if settings.init is None:
        return None
    run = RunFolder(settings.init)
    parent = run.settings()
    require_finished(run.path, "let the run that --init names finish first")
    for name, theirs, ours in (
        ("net.channels", parent.net.channels, settings.net.channels),
        ("light.channels", parent.light.channels, settings.light.channels),
        ("folds", parent.folds, settings.folds),
    ):
        if theirs != ours:
            raise BadInput(f"init: {run.path} has {name} {_text(theirs)}, this run {_text(ours)}; use the same")
    return Parent(run, parent, DataRecord.load(run).overlap)


def guard(parent: Parent, digits: Digits, fold_of: npt.NDArray[np.int64], test: Digits) -> None:
    """Raise BadInput where initial weights have seen a digit that this run validates or is tested on."""
    own_fingerprints, test_fingerprints = digits.fingerprints(), test.fingerprints()
    for ancestor in _ancestors(parent):
        stored = read_npz(ancestor.run.path / OOF, ("fingerprint", "fold", "reserved"), "use another --init")
        seen = np.concatenate([stored["fingerprint"], stored["reserved"]])
        ancestor_fold_of = np.concatenate([stored["fold"], np.full(len(stored["reserved"]), NOT_VALIDATED)])
        if ancestor.overlap.honest:  # a leaked ancestor marks this run instead
            _require_unseen(np.isin(test_fingerprints, seen).sum(), ancestor, "is tested on")
        for fold in range(int(fold_of.max()) + 1):
            trained_on = seen[ancestor_fold_of != fold]
            rows = np.isin(own_fingerprints[fold_of == fold], trained_on).sum()
            _require_unseen(rows, ancestor, f"validates in fold {fold}")


def _ancestors(parent: Parent) -> Iterator[Parent]:
    ancestor: Parent | None = parent
    while ancestor:
        yield ancestor
        ancestor = load_parent(ancestor.settings)


def _require_unseen(rows: int, ancestor: Parent, use: str) -> None:
    if rows:
        raise BadInput(
            f"init: the nets of {ancestor.run.path} were trained on {rows:,} digits that this run {use}; "
            "start from a run on the same files with the same --folds and --seed"
        )


def _text(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)
