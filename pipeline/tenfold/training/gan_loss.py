"""The GAN's losses, and the random shifts that the discriminator sees digits under."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tenfold.data.warp import warped
from tenfold.settings import Loss, Warp


@dataclass(frozen=True)
class GanLoss:
    """Losses as functions of the discriminator's scores: (N,) to (N,)."""

    discriminator_real: Callable[[Tensor], Tensor]
    discriminator_generated: Callable[[Tensor], Tensor]
    generator: Callable[[Tensor], Tensor]


GAN_LOSSES: Final[Mapping[Loss, GanLoss]] = {
    # I. Goodfellow et al., "Generative Adversarial Nets", NeurIPS 2014, non-saturating form
    "non-saturating": GanLoss(lambda s: F.softplus(-s), F.softplus, lambda s: F.softplus(-s)),
    # X. Mao et al., "Least Squares Generative Adversarial Networks", ICCV 2017
    "least-squares": GanLoss(lambda s: (s - 1) ** 2, lambda s: s**2, lambda s: (s - 1) ** 2),
    # J. Lim, J. Ye, "Geometric GAN", 2017
    "hinge": GanLoss(lambda s: F.relu(1 - s), lambda s: F.relu(1 + s), lambda s: -s),
}


def discriminator_loss(
    gan_loss: GanLoss, discriminator: nn.Module, real: Tensor, generated: Tensor, labels: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """The discriminator's loss on real and generated digits (N, 1, 28, 28) of the same labels (N,).

    Then its mean scores of both. No gradient reaches the generator.
    """
    scores = discriminator(torch.cat([real, generated.detach()]), torch.cat([labels, labels])).float()
    on_real, on_generated = scores.chunk(2)
    loss = gan_loss.discriminator_real(on_real).mean() + gan_loss.discriminator_generated(on_generated).mean()
    return loss, on_real.detach().mean(), on_generated.detach().mean()


def generator_loss(gan_loss: GanLoss, discriminator: nn.Module, generated: Tensor, labels: Tensor) -> Tensor:
    """The generator's loss on its digits (N, 1, 28, 28) of the requested labels (N,)."""
    return gan_loss.generator(discriminator(generated, labels).float()).mean()


def shifted(images: Tensor, shift_px: float, rng: torch.Generator) -> Tensor:
    """Images (N, 1, H, W), each shifted at random; gradients pass through. Applied to real and generated digits.

    S. Zhao et al., "Differentiable Augmentation for Data-Efficient GAN Training", NeurIPS 2020.
    """
    if not shift_px:
        return images
    return warped(images, Warp(rotation_deg=0, shear_deg=0, scale=0, shift_px=shift_px), rng)
