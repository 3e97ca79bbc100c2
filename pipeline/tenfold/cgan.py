"""The two players of the conditional GAN, and what each of them is after.

The generator is told the digit through a class embedding (M. Mirza, S. Osindero, "Conditional Generative
Adversarial Nets", 2014). The discriminator is told it through a projection (T. Miyato, M. Koyama, "cGANs with
Projection Discriminator", ICLR 2018), or through ten further channels, all 1 in the digit's own and 0 in the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tenfold.settings import Cgan, Loss, Warp
from tenfold.warp import warped


class Residual(nn.Module):
    """A body with its input added to what it makes of it; `shortcut` brings the input to the output's shape."""

    def __init__(self, body: nn.Module, shortcut: nn.Module | None = None) -> None:
        super().__init__()
        self.body, self.shortcut = body, shortcut or nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Of the body's output shape."""
        y: Tensor = self.body(x) + self.shortcut(x)
        return y


class Generator(nn.Module):
    """z float (N, Z) and labels (N,) to images float (N, 1, 28, 28) in [0, 1].

    With a trunk of 14 the work is done at 7x7 and 14x14, and a pixel shuffle makes 28x28 of four channels, which
    costs a fraction of the convolutions at full size that a trunk of 28 has.
    """

    def __init__(self, settings: Cgan) -> None:
        super().__init__()
        wide, narrow = 4 * settings.width, 2 * settings.width
        self.embedding = nn.Embedding(10, settings.class_dim)
        nn.init.normal_(self.embedding.weight, std=settings.class_std)
        self.start = nn.Linear(settings.z_dim + settings.class_dim, wide * 7 * 7, bias=False)
        refine: nn.Module = nn.Sequential(
            nn.Conv2d(narrow, narrow, 3, padding=1, bias=False),
            nn.BatchNorm2d(narrow),
        )
        self.trunk = nn.Sequential(
            nn.BatchNorm2d(wide),
            nn.ReLU(),
            nn.ConvTranspose2d(wide, narrow, 4, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(narrow),
            nn.ReLU(),
            Residual(refine) if settings.skip else refine,
            nn.ReLU(),
            *_to_full_size(narrow, settings.trunk),
        )
        self.wide = wide

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        """Images."""
        x = self.start(torch.cat([z, self.embedding(labels)], 1)).view(-1, self.wide, 7, 7)
        images: Tensor = self.trunk(x).sigmoid()
        return images


def _to_full_size(channels: int, trunk: int) -> list[nn.Module]:
    if trunk == 14:
        return [nn.Conv2d(channels, 4, 3, padding=1), nn.PixelShuffle(2)]
    half = channels // 2
    return [
        nn.ConvTranspose2d(channels, half, 4, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(half),
        nn.ReLU(),
        nn.Conv2d(half, 1, 3, padding=1),
    ]


class Discriminator(nn.Module):
    """images float (N, 1, 28, 28) in [0, 1] and labels (N,) to scores (N,), higher = more real."""

    def __init__(self, settings: Cgan) -> None:
        super().__init__()
        narrow, wide = 2 * settings.width, 4 * settings.width
        self.projects = settings.condition == "projection"
        second: nn.Module = nn.Conv2d(narrow, wide, 4, stride=2, padding=1)
        if settings.skip:
            second = Residual(second, nn.Sequential(nn.AvgPool2d(2), nn.Conv2d(narrow, wide, 1)))
        self.body = nn.Sequential(
            nn.Conv2d(1 if self.projects else 11, narrow, 4, stride=2, padding=1),
            nn.LeakyReLU(0.2),
            second,
            nn.LeakyReLU(0.2),
            nn.Flatten(),
            nn.Linear(wide * 7 * 7, wide),
            nn.LeakyReLU(0.2),
        )
        self.score = nn.Linear(wide, 1)
        if self.projects:
            self.embedding = nn.Embedding(10, wide)

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        """Scores."""
        images = images * 2 - 1
        if not self.projects:
            planes = F.one_hot(labels, 10).to(images.dtype)[:, :, None, None].expand(-1, -1, *images.shape[2:])
            images = torch.cat([images, planes], 1)
        features = self.body(images)
        scores: Tensor = self.score(features).squeeze(1)
        if self.projects:
            scores = scores + (features * self.embedding(labels)).sum(1)
        return scores


@dataclass(frozen=True)
class Aims:
    """What the players want of the scores (N,): a loss a digit."""

    on_real: Callable[[Tensor], Tensor]  # the discriminator, of real digits
    on_generated: Callable[[Tensor], Tensor]  # the discriminator, of generated ones
    of_generator: Callable[[Tensor], Tensor]


AIMS: Final[Mapping[Loss, Aims]] = {
    # I. Goodfellow et al., "Generative Adversarial Nets", NeurIPS 2014, in the form that doesn't saturate
    "non-saturating": Aims(lambda s: F.softplus(-s), F.softplus, lambda s: F.softplus(-s)),
    # X. Mao et al., "Least Squares Generative Adversarial Networks", ICCV 2017
    "least-squares": Aims(lambda s: (s - 1) ** 2, lambda s: s**2, lambda s: (s - 1) ** 2),
    # J. Lim, J. Ye, "Geometric GAN", 2017
    "hinge": Aims(lambda s: F.relu(1 - s), lambda s: F.relu(1 + s), lambda s: -s),
}


def discriminator_loss(
    aims: Aims, discriminator: nn.Module, real: Tensor, generated: Tensor, labels: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """The discriminator's loss on real and generated digits (N, 1, 28, 28) of the same labels (N,).

    Then its mean scores of both. `generated` is cut off from its generator.
    """
    scores = discriminator(torch.cat([real, generated.detach()]), torch.cat([labels, labels])).float()
    on_real, on_generated = scores.chunk(2)
    loss = aims.on_real(on_real).mean() + aims.on_generated(on_generated).mean()
    return loss, on_real.detach().mean(), on_generated.detach().mean()


def generator_loss(aims: Aims, discriminator: nn.Module, generated: Tensor, labels: Tensor) -> Tensor:
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
