"""The GAN's losses, and the shift that the discriminator sees digits under."""

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
    """What the players want of the scores (N,): a loss a digit."""

    on_real: Callable[[Tensor], Tensor]  # the discriminator, of real digits
    on_generated: Callable[[Tensor], Tensor]  # the discriminator, of generated ones
    of_generator: Callable[[Tensor], Tensor]


GAN_LOSSES: Final[Mapping[Loss, GanLoss]] = {
    # I. Goodfellow et al., "Generative Adversarial Nets", NeurIPS 2014, in the form that doesn't saturate
    "non-saturating": GanLoss(lambda s: F.softplus(-s), F.softplus, lambda s: F.softplus(-s)),
    # X. Mao et al., "Least Squares Generative Adversarial Networks", ICCV 2017
    "least-squares": GanLoss(lambda s: (s - 1) ** 2, lambda s: s**2, lambda s: (s - 1) ** 2),
    # J. Lim, J. Ye, "Geometric GAN", 2017
    "hinge": GanLoss(lambda s: F.relu(1 - s), lambda s: F.relu(1 + s), lambda s: -s),
}


def discriminator_loss(
    aims: GanLoss, discriminator: nn.Module, real: Tensor, generated: Tensor, labels: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """The discriminator's loss on real and generated digits (N, 1, 28, 28) of the same labels (N,).

    Then its mean scores of both. `generated` is cut off from its generator.
    """
    scores = discriminator(torch.cat([real, generated.detach()]), torch.cat([labels, labels])).float()
    on_real, on_generated = scores.chunk(2)
    loss = aims.on_real(on_real).mean() + aims.on_generated(on_generated).mean()
    return loss, on_real.detach().mean(), on_generated.detach().mean()


def generator_loss(aims: GanLoss, discriminator: nn.Module, generated: Tensor, labels: Tensor) -> Tensor:
    """The generator's loss on its digits (N, 1, 28, 28) of the labels (N,) that it was asked for."""
    return aims.of_generator(discriminator(generated, labels).float()).mean()


def gradient_penalty(discriminator: nn.Module, real: Tensor, labels: Tensor) -> Tensor:
    """Mean over digits of the squared norm of the score's gradient: R1 without its factor of a half gamma.

    L. Mescheder, A. Geiger, S. Nowozin, "Which Training Methods for GANs do actually Converge?", ICML 2018.
    """
    at = real.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(discriminator(at, labels).sum(), at, create_graph=True)
    return gradient.flatten(1).square().sum(1).mean()


def shifted(images: Tensor, shift_px: float, draws: torch.Generator) -> Tensor:
    """Images (N, 1, H, W), each moved by a shift of its own that gradients pass; both players see digits so.

    S. Zhao et al., "Differentiable Augmentation for Data-Efficient GAN Training", NeurIPS 2020.
    """
    if not shift_px:
        return images
    return warped(images, Warp(rotation_deg=0, shear_deg=0, scale=0, shift_px=shift_px), draws)
