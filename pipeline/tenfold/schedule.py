"""What both training loops share: how long they go on, how the learning rate runs, how weights are averaged."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor


def steps_per_epoch(n: int, epoch_images: int, real_per_step: int) -> int:
    """Steps in which `n` real digits are shown once, or `epoch_images` if that is more; at least one."""
    return max(1, max(n, epoch_images) // real_per_step)


def passes_per_epoch(n: int, steps: int, real_per_step: int) -> int:
    """How many orders of all `n` digits cover an epoch."""
    return math.ceil(steps * real_per_step / n)


def warm_up_then_decay(step: int, steps: int, warmup: float) -> float:
    """Factor on the peak learning rate: linear from 0 to 1 over the share `warmup`, then linear to 0."""
    rise = warmup * steps
    progress = step + 0.5  # the middle of the step, so that neither end is wasted on a rate of 0
    return progress / rise if progress < rise else (steps - progress) / (steps - rise)


def moving_average(decay: float) -> Callable[..., None]:
    """Exponential moving average for `AveragedModel`, which at step n keeps min(decay, (1 + n) / (10 + n)).

    The early bound lets a short training forget its random start.
    """

    @torch.no_grad()
    def update(averages: list[Tensor], now: list[Tensor], n: Tensor | int) -> None:
        keep = min(decay, (1 + float(n)) / (10 + float(n)))
        if averages[0].is_floating_point():
            torch._foreach_lerp_(averages, now, 1 - keep)
        else:  # BatchNorm's counters
            torch._foreach_copy_(averages, now)

    return update
