"""Training batches: real digits and generated ones side by side, all of them warped.

A net's predictions for generated digits can replace their labels, or leave some of them out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from tenfold.data.warp import warped
from tenfold.models.inference import Sampler
from tenfold.settings import Warp

Predict = Callable[[Tensor], Tensor]  # images uint8 (N, 28, 28) -> probabilities float (N, 10)


@dataclass(frozen=True)
class Generated:
    """An epoch's generated digits."""

    images: Tensor  # uint8 (M, 28, 28)
    labels: Tensor  # int64 (M,), which digits were requested
    targets: Tensor  # float (M, 10), what is learnt
    left_out: Tensor  # bool (M,): a real digit takes this one's place


@dataclass(frozen=True, kw_only=True)
class Batches:
    """Batches of training digits. All tensors are on the device that trains."""

    images: Tensor  # uint8 (N, 28, 28), real
    labels: Tensor  # int64 (N,)
    warp: Warp
    batch_size: int
    epoch_images: int
    share: float = 0.0  # of generated digits in a batch
    sample: Sampler | None = None  # draws generated digits; None for none
    least_probability: float = 0.0  # generated digits whose label gets less are left out
    soft_labels: bool = False  # learn the net's prediction for a generated digit instead of its label

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

    @property
    def needs_predictions(self) -> bool:
        """Whether predictions for the generated digits are needed."""
        return self.generated_per_step > 0 and (self.least_probability > 0 or self.soft_labels)

    def generated(self, rng: torch.Generator, predict: Predict | None = None) -> Generated:
        """An epoch's generated digits, with balanced labels. Without `predict`, all are taken as they are."""
        device, n = self.images.device, self.steps * self.generated_per_step
        if not n or self.sample is None:
            labels = self.labels[:0]
            return Generated(self.images[:0], labels, _one_hot(labels), labels.bool())
        balanced = torch.arange(n, device=device) % 10
        labels = balanced[torch.randperm(n, generator=rng, device=device)]
        images = self.sample(labels, rng)
        if predict is None:
            return Generated(images, labels, _one_hot(labels), torch.zeros_like(labels, dtype=torch.bool))
        probs = predict(images)
        left_out = probs.gather(1, labels[:, None]).squeeze(1) < self.least_probability
        return Generated(images, labels, probs if self.soft_labels else _one_hot(labels), left_out)

    def epoch(self, generated: Generated, rng: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        """An epoch's batches: float (B, 1, 28, 28) in [0, 1] and targets float (B, 10), all determined by `rng`.

        Real digits come in a new order each pass.
        """
        device, n = self.images.device, len(self.images)
        passes = passes_per_epoch(n, self.steps, self.real_per_step)
        order = torch.cat([torch.randperm(n, generator=rng, device=device) for _ in range(passes)])
        stand_in = torch.randint(n, (len(generated.labels),), generator=rng, device=device)
        out = generated.left_out
        generated_images = torch.where(out[:, None, None], self.images[stand_in], generated.images)
        generated_targets = torch.where(out[:, None], _one_hot(self.labels[stand_in]), generated.targets)
        targets = _one_hot(self.labels)
        for step in range(self.steps):
            real = order[step * self.real_per_step : (step + 1) * self.real_per_step]
            drawn = slice(step * self.generated_per_step, (step + 1) * self.generated_per_step)
            images = torch.cat([self.images[real], generated_images[drawn]])
            yield (
                warped(images.unsqueeze(1).float().div_(255), self.warp, rng),
                torch.cat([targets[real], generated_targets[drawn]]),
            )


def steps_per_epoch(n: int, epoch_images: int, real_per_step: int) -> int:
    """Steps in which `n` real digits are shown once, or `epoch_images` if that is more; at least one."""
    return max(1, max(n, epoch_images) // real_per_step)


def passes_per_epoch(n: int, steps: int, real_per_step: int) -> int:
    """Passes over all `n` digits in an epoch."""
    return math.ceil(steps * real_per_step / n)


def _one_hot(labels: Tensor) -> Tensor:
    return F.one_hot(labels, 10).float()
