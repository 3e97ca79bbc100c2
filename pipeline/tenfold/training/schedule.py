"""What both training loops share: how long they go on, how the learning rate runs, how weights are averaged."""

from __future__ import annotations

import math
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Generic, TypeVar

import torch
from torch import nn

Module = TypeVar("Module", bound=nn.Module)


@dataclass(frozen=True)
class RateCut:
    """What a person ordered after a loss became no number: from then on, smaller learning rates."""

    after_epoch: int
    factor: float


def cut_rate(cuts: Sequence[RateCut], epoch: int) -> float:
    """The product of the factors that hold in `epoch` (from 0)."""
    return math.prod(cut.factor for cut in cuts if epoch >= cut.after_epoch)


def warm_up_then_decay(step: int, steps: int, warmup: float) -> float:
    """Factor on the peak learning rate: linear from 0 to 1 over the share `warmup`, then linear to 0."""
    rise = warmup * steps
    progress = step + 0.5  # the middle of the step, so that neither end is wasted on a rate of 0
    return progress / rise if progress < rise else (steps - progress) / (steps - rise)


def decay_at_end(step: int, steps: int, share: float) -> float:
    """Factor on the learning rate: 1, and over the last `share` of all steps linearly to 0."""
    left, fall = steps - step - 0.5, share * steps
    return left / fall if left < fall else 1.0


class MovingAverage(Generic[Module]):
    """Exponential moving average of a net's weights and statistics, in `net`.

    At update n (from 0) it keeps min(decay, (1 + n) / (10 + n)) of itself, so that a short training forgets its
    random start. Unlike torch's AveragedModel it counts on the host: nothing in a step waits for the device.
    """

    def __init__(self, of: Module, decay: float) -> None:
        self.net, self.decay = deepcopy(of).requires_grad_(False), decay
        followed, mine = of.state_dict(), self.net.state_dict()
        floats = [name for name, value in followed.items() if value.is_floating_point()]  # no BatchNorm counters
        self._followed, self._mine = [followed[name] for name in floats], [mine[name] for name in floats]

    @torch.no_grad()
    def update(self, n: int) -> None:
        """Take in the net as it now is."""
        keep = min(self.decay, (1 + n) / (10 + n))
        torch._foreach_lerp_(self._mine, self._followed, 1 - keep)
