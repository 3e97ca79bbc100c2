"""The overlap guard: what may be trained on, given what will be tested on.

The competition's 70,000 images are MNIST's 70,000, shuffled, so joining the two as they come trains on
the test set with its labels, and puts identical images on both sides of a fold. Images are compared by
their bytes, which on these files is exact: all 70,000 are distinct.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tenfold.data.digits import Digits, joined
from tenfold.settings import OverlapPolicy


@dataclass(frozen=True)
class Overlap:
    """What the guard found and did, in rows."""

    policy: OverlapPolicy
    offered: int  # rows of the training files and of the further source together
    in_test: int  # of these, rows whose image occurs in the test set
    repeated: int  # of the rest, rows whose image stood in an earlier row already
    contradicting: int  # rows kept although an earlier row of the same file has the image under another label
    added: int  # rows that the further source added to training
    kept: int  # rows trained on
    honest: bool  # whether training saw nothing of the test set
    inherited: dict[str, Any] | None = None  # this record of the run whose nets this one began with

    def sentence(self) -> str:
        """One line for people."""
        if self.inherited and not self.inherited["honest"]:
            return (
                f"overlap: INHERITED. The nets that this run begins with were trained on {self.inherited['in_test']:,} "
                "test images with their labels: every score of this run is LEAKED and says nothing"
            )
        if not self.honest:
            return (
                f"overlap: ALLOWED. Training on all {self.kept:,} rows, {self.in_test:,} of them test images with "
                "their labels: every score of this run is LEAKED and says nothing"
            )
        dropped = f"dropped {self.in_test:,} rows that occur in the test set and {self.repeated:,} repeated ones"
        doubt = (
            f"; {self.contradicting:,} rows contradict an earlier label of their image" if self.contradicting else ""
        )
        return f"overlap: honest. {dropped}; the further source added {self.added:,}; training on {self.kept:,}{doubt}"


def guard(train: Digits, extra: Digits | None, test: Digits, policy: OverlapPolicy) -> tuple[Digits, Overlap]:
    """Join `train` and `extra` for training.

    honest: no image of `test` is kept, and no image counts twice; where `train` itself holds an image under
    two labels, both rows stay (folds keep them on one side). allow: every row stays, and the result is
    marked as not honest.
    """
    together = train if extra is None else joined(train, extra)
    keys = together.keys()
    in_test = np.isin(keys, test.keys())
    repeated, contradicting = _repeats(keys, together.known_labels(), len(train))
    repeated &= ~in_test
    keep = np.ones(len(together), bool) if policy == "allow" else ~(in_test | repeated)
    kept = together.take(keep)
    return kept, Overlap(
        policy=policy,
        offered=len(together),
        in_test=int(in_test.sum()),
        repeated=int(repeated.sum()),
        contradicting=int((contradicting & keep).sum()),
        added=int(keep[len(train) :].sum()),
        kept=len(kept),
        honest=policy == "honest",
    )


def _repeats(
    keys: npt.NDArray[np.void], labels: npt.NDArray[np.int64], first_source: int
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Which rows repeat an earlier one, and which rows of the first source only contradict an earlier one.

    The first source's own contradictions are a person's to settle, so they are not repeats; a further
    source's row is one whatever its label.
    """
    _, first, group = np.unique(keys, return_index=True, return_inverse=True)
    own = np.arange(len(keys)) < first_source
    again = first[group] != np.arange(len(keys))
    _, first_pair = np.unique(group * 10 + labels, return_index=True)
    new_pair = np.zeros(len(keys), bool)
    new_pair[first_pair] = True
    contradicting = again & own & new_pair
    return again & ~contradicting, contradicting
