"""Every random draw comes from (seed, fold, net, stage, epoch), never from the order in which things ran."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Final

import numpy as np

ALL_DIGITS: Final = 1000  # no fold's number: what is fitted on all training digits draws under this one
RESERVE: Final = 1001  # nor this: of what is fitted on the digits that no fold validates


@dataclass(frozen=True)
class SeedStream:
    """The seeds of one task."""

    seed: int
    fold: int
    net: int = 0  # which of the fold's nets

    def seed_of(self, stage: str, epoch: int = 0) -> int:
        """A seed of 63 bits for one purpose; distinct streams and arguments give independent draws."""
        entropy = [self.seed, self.fold, self.net, zlib.crc32(stage.encode()), epoch]
        return int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0] >> np.uint64(1))
