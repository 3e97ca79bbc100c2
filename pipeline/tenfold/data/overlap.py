"""The overlap guard: what may be trained on, given what will be tested on.

The competition's 70,000 images are MNIST's 70,000, shuffled. Joining the two as they are trains on the test set with
its labels, and puts identical images on both sides of a fold. Images are compared by their bytes, which is exact on
these files: all 70,000 are distinct.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

from tenfold.data.digits import Digits, joined
from tenfold.settings import OverlapPolicy
from tenfold.storage.run_folder import DATA, RunFolder


@dataclass(frozen=True)
class Overlap:
    """What the guard found and did, in rows."""

    policy: OverlapPolicy
    offered: int  # rows of the training files and of the extra source together
    in_test: int  # of these, rows whose image occurs in the test set
    repeated: int  # of the rest, rows whose image occurs in an earlier row
    contradicting: int  # rows kept although an earlier row of the same file has the image under another label
    added: int  # rows that the extra source added to training
    kept: int  # rows trained on
    honest: bool  # whether training saw nothing of the test set
    inherited: Overlap | None = None  # of the run whose weights this one started from

    def sentence(self) -> str:
        """A one-line summary."""
        if self.inherited and not self.inherited.honest:
            return (
                f"overlap: INHERITED. This run starts from weights trained on {self.inherited.in_test:,} test "
                "images with their labels: every score of this run is LEAKED and means nothing"
            )
        if not self.honest:
            return (
                f"overlap: ALLOWED. Training on all {self.kept:,} rows, {self.in_test:,} of them test images with "
                "their labels: every score of this run is LEAKED and means nothing"
            )
        dropped = f"dropped {self.in_test:,} rows that occur in the test set and {self.repeated:,} repeated rows"
        doubt = (
            f"; {self.contradicting:,} rows contradict an earlier label of their image" if self.contradicting else ""
        )
        return (
            f"overlap: honest. {dropped}; the extra source added {self.added:,} rows; training on {self.kept:,}{doubt}"
        )


@dataclass(frozen=True)
class DataRecord:
    """data.json: which digits a run works on."""

    train_rows: int
    test_rows: int
    train_sha256: str
    test_sha256: str
    overlap: Overlap

    @classmethod
    def of(cls, train: Digits, test: Digits, overlap: Overlap) -> DataRecord:
        """The record of these digits."""
        return cls(len(train), len(test), train.sha256(), test.sha256(), overlap)

    @classmethod
    def load(cls, run: RunFolder) -> DataRecord:
        """The record of a run. Raises BadInput where it is missing or damaged."""
        return run.read_record(DATA, cls)

    def save(self, run: RunFolder) -> None:
        """Write data.json."""
        run.write_json(DATA, asdict(self))

    def same_digits(self, other: DataRecord) -> bool:
        """Whether both have the same training and test digits."""
        return (self.train_sha256, self.test_sha256) == (other.train_sha256, other.test_sha256)


def guard(train: Digits, extra: Digits | None, test: Digits, policy: OverlapPolicy) -> tuple[Digits, Overlap]:
    """Join `train` and `extra` for training.

    honest: keeps no image of `test`, and each image once. Where `train` itself has an image under two labels, both
    rows stay (and share a fold). allow: keeps every row, and marks the result as not honest.
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
    keys: npt.NDArray[np.void], labels: npt.NDArray[np.int64], own_rows: int
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Which rows repeat an earlier one, and which of the first `own_rows` contradict the label of an earlier one.

    A contradiction within the training files is for a person to resolve, so it is not a repeat. A row of the extra
    source is a repeat whatever its label.
    """
    _, first, group = np.unique(keys, return_index=True, return_inverse=True)
    own = np.arange(len(keys)) < own_rows
    again = first[group] != np.arange(len(keys))
    _, first_pair = np.unique(group * 10 + labels, return_index=True)
    new_pair = np.zeros(len(keys), bool)
    new_pair[first_pair] = True
    contradicting = again & own & new_pair
    return again & ~contradicting, contradicting
