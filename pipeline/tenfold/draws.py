"""Every random draw comes from (seed, fold, stage, epoch), never from the order in which things ran."""

from __future__ import annotations

import zlib

import numpy as np


def derived_seed(seed: int, fold: int, stage: str, epoch: int = 0) -> int:
    """A seed of 63 bits for one purpose; distinct arguments give independent streams."""
    entropy = [seed, fold, zlib.crc32(stage.encode()), epoch]
    return int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0] >> np.uint64(1))
