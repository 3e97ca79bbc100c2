"""What both training loops share: learning-rate schedules and the moving average of weights."""

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
    """Lower learning rates from an epoch on, requested by the user after a loss became NaN."""

    after_epoch: int  # number of epochs done before
    factor: float  # on every learning rate


def cut_rate(cuts: Sequence[RateCut], epoch: int) -> float:
    """The product of the factors in force in `epoch` (from 0)."""
    return math.prod(cut.factor for cut in cuts if epoch >= cut.after_epoch)


def warm_up_then_decay(step: int, steps: int, warmup: float) -> float:
    """Factor on the peak learning rate: linear from 0 to 1 over the share `warmup`, then linear to 0."""
    rise = warmup * steps
    progress = step + 0.5  # the middle of the step, so that neither end has a rate of 0
    return progress / rise if progress < rise else (steps - progress) / (steps - rise)


class MovingAverage(Generic[Module]):
    """Exponential moving average of a net's weights and BatchNorm statistics, in `net`.

    Update n (from 0) has decay min(decay, (1 + n) / (10 + n)), so that a short training forgets its random start.
    Unlike torch's AveragedModel it counts on the host: nothing in a step waits for the device.
    """

    def __init__(self, source: Module, decay: float) -> None:
        self.net, self.decay = deepcopy(source).requires_grad_(False), decay
        current, averaged = source.state_dict(), self.net.state_dict()
        floats = [name for name, value in current.items() if value.is_floating_point()]  # no BatchNorm counters
        self._current, self._averaged = [current[name] for name in floats], [averaged[name] for name in floats]

    @torch.no_grad()
    def update(self, n: int) -> None:
        """Take in the net's current weights."""
        decay = min(self.decay, (1 + n) / (10 + n))
        torch._foreach_lerp_(self._averaged, self._current, 1 - decay)
