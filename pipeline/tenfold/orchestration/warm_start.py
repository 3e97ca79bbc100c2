"""Beginning with another run's nets: what those have seen counts as seen here.

A net of this run begins with the net of the same number that the other run trained. If that one was trained
on a digit that this run validates or is tested on, the score would be a leak, so every digit that any run
up the line trained on is held against them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tenfold.data.digits import Digits
from tenfold.data.folds import NOT_VALIDATED
from tenfold.errors import BadInput
from tenfold.models.weights import CLASSIFIER
from tenfold.settings import Settings
from tenfold.storage.completion import finished
from tenfold.storage.npz import read_npz
from tenfold.storage.run_folder import DATA, OOF, RunFolder


@dataclass(frozen=True)
class Parent:
    """A finished run, as one that begins with its nets sees it."""

    run: RunFolder
    settings: Settings
    overlap: dict[str, Any]

    def net(self, fold: int, net: int) -> Path:
        """The weights to begin one of a fold's nets with."""
        return self.run.net(fold, net % self.settings.nets) / CLASSIFIER

    @property
    def light(self) -> Path:
        """The weights to begin the light net with."""
        return self.run.light / CLASSIFIER


def parent(settings: Settings) -> Parent | None:
    """The run that `settings` begin with. Raises BadInput where it is none, unfinished, or has other nets."""
    if settings.init is None:
        return None
    run = RunFolder(settings.init)
    theirs = run.settings()
    if finished(run.path) is None:
        raise BadInput(f"init: {run.path} is not finished; run it to its end first")
    asked = (settings.net.channels, settings.light.channels, settings.folds)
    found = (theirs.net.channels, theirs.light.channels, theirs.folds)
    for name, mine, its in zip(("net.channels", "light.channels", "folds"), asked, found, strict=True):
        if mine != its:
            raise BadInput(f"init: {run.path} has {name} {_shown(its)}, this run {_shown(mine)}; ask for the same")
    return Parent(run, theirs, run.read_json(DATA)["overlap"])


def guard(first: Parent, digits: Digits, fold_of: npt.NDArray[np.int64], test: Digits) -> None:
    """Raise BadInput where a net to begin with has seen a digit that this run's net is validated or tested on."""
    mine, tested = digits.fingerprints(), test.fingerprints()
    for ancestor in _line(first):
        stored = read_npz(ancestor.run.path / OOF, ("fingerprint", "fold", "reserved"), "give another --init")
        seen = np.concatenate([stored["fingerprint"], stored["reserved"]])
        their_fold = np.concatenate([stored["fold"], np.full(len(stored["reserved"]), NOT_VALIDATED)])
        if ancestor.overlap["honest"]:  # a leaked one marks this run instead
            _refuse(np.isin(tested, seen).sum(), ancestor, "is tested on")
        for fold in range(int(fold_of.max()) + 1):
            trained_on = seen[their_fold != fold]
            _refuse(np.isin(mine[fold_of == fold], trained_on).sum(), ancestor, f"validates in fold {fold}")


def _line(first: Parent) -> Iterator[Parent]:
    ancestor: Parent | None = first
    while ancestor:
        yield ancestor
        ancestor = parent(ancestor.settings)


def _refuse(rows: int, ancestor: Parent, use: str) -> None:
    if rows:
        raise BadInput(
            f"init: the nets of {ancestor.run.path} were trained on {rows:,} digits that this run {use}; "
            "begin with a run on the same files with the same --folds and --seed"
        )


def _shown(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)
