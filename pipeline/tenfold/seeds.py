"""Every random number comes from (seed, fold, net, stage, epoch), never from the order in which things ran."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Final

import numpy as np

ALL_DIGITS: Final = 1000  # used as the fold of what is fitted on all training digits
RESERVE: Final = 1001  # used as the fold of what is fitted on the digits that no fold validates


@dataclass(frozen=True)
class SeedStream:
    """The seeds of one training."""

    seed: int
    fold: int
    net: int = 0  # which of the fold's nets

    def seed_of(self, stage: str, epoch: int = 0) -> int:
        """A 63-bit seed for one purpose; different streams and arguments give independent random numbers."""
        entropy = [self.seed, self.fold, self.net, zlib.crc32(stage.encode()), epoch]
        return int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0] >> np.uint64(1))
