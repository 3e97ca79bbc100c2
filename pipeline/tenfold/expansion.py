"""The expanded training set, batch by batch: real digits, generated ones beside them, all of them warped."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from tenfold.schedule import passes_per_epoch, steps_per_epoch
from tenfold.settings import Warp
from tenfold.warp import warped

Sampler = Callable[[Tensor, torch.Generator], Tensor]  # labels (N,) -> images uint8 (N, 28, 28)


@dataclass(frozen=True)
class Expansion:
    """Batches of training digits. Everything is resident on the device that trains."""

    images: Tensor  # uint8 (N, 28, 28), real
    labels: Tensor  # int64 (N,)
    warp: Warp
    batch_size: int
    epoch_images: int
    share: float = 0.0  # of generated digits in a batch
    sample: Sampler | None = None  # draws generated digits; None means none

    @property
    def generated_per_step(self) -> int:
        """Generated digits in each batch."""
        return round(self.share * self.batch_size) if self.sample else 0

    @property
    def real_per_step(self) -> int:
        """Real digits in each batch."""
        return self.batch_size - self.generated_per_step

    @property
    def steps(self) -> int:
        """Batches in an epoch."""
        return steps_per_epoch(len(self.images), self.epoch_images, self.real_per_step)

    def epoch(self, draws: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        """An epoch's batches: float (B, 1, 28, 28) in [0, 1] and labels (B,), all decided by `draws`.

        Real digits come in a new order each pass; generated ones have balanced labels and are new each epoch.
        """
        device, n = self.images.device, len(self.images)
        passes = passes_per_epoch(n, self.steps, self.real_per_step)
        order = torch.cat([torch.randperm(n, generator=draws, device=device) for _ in range(passes)])
        made_images, made_labels = self._generated(self.steps * self.generated_per_step, draws)
        for step in range(self.steps):
            real = order[step * self.real_per_step : (step + 1) * self.real_per_step]
            made = slice(step * self.generated_per_step, (step + 1) * self.generated_per_step)
            images = torch.cat([self.images[real], made_images[made]])
            labels = torch.cat([self.labels[real], made_labels[made]])
            yield warped(images.unsqueeze(1).float().div_(255), self.warp, draws), labels

    def _generated(self, n: int, draws: torch.Generator) -> tuple[Tensor, Tensor]:
        device = self.images.device
        if not n or self.sample is None:
            return self.images[:0], self.labels[:0]
        balanced = torch.arange(n, device=device) % 10
        labels = balanced[torch.randperm(n, generator=draws, device=device)]
        return self.sample(labels, draws), labels
