"""The two players of the conditional GAN, and what each of them is after.

The generator is told the digit through a class embedding (M. Mirza, S. Osindero, "Conditional Generative
Adversarial Nets", 2014), the discriminator through a projection (T. Miyato, M. Koyama, "cGANs with
Projection Discriminator", ICLR 2018). Both losses are the non-saturating ones of I. Goodfellow et al.,
"Generative Adversarial Nets", NeurIPS 2014.
"""

from __future__ import annotations

from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tenfold.settings import Cgan

CLASS_EMBEDDING_STD: Final = 0.2  # below z's 1: at 1 the players settle on one picture a class before z counts


class Generator(nn.Module):
    """z float (N, Z) and labels (N,) to images float (N, 1, 28, 28) in [0, 1].

    The work is done at 7x7 and 14x14; a pixel shuffle makes 28x28 of four channels, which costs a fraction
    of convolutions at full size.
    """

    def __init__(self, settings: Cgan) -> None:
        super().__init__()
        wide, narrow = 4 * settings.width, 2 * settings.width
        self.embedding = nn.Embedding(10, settings.z_dim)
        nn.init.normal_(self.embedding.weight, std=CLASS_EMBEDDING_STD)
        self.start = nn.Linear(2 * settings.z_dim, wide * 7 * 7, bias=False)
        self.trunk = nn.Sequential(
            nn.BatchNorm2d(wide),
            nn.ReLU(),
            nn.ConvTranspose2d(wide, narrow, 4, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(narrow),
            nn.ReLU(),
            nn.Conv2d(narrow, narrow, 3, padding=1, bias=False),
            nn.BatchNorm2d(narrow),
            nn.ReLU(),
            nn.Conv2d(narrow, 4, 3, padding=1),
            nn.PixelShuffle(2),
        )
        self.wide = wide

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        """Images."""
        x = self.start(torch.cat([z, self.embedding(labels)], 1)).view(-1, self.wide, 7, 7)
        images: Tensor = self.trunk(x).sigmoid()
        return images


class Discriminator(nn.Module):
    """images float (N, 1, 28, 28) in [0, 1] and labels (N,) to scores (N,), higher = more real."""

    def __init__(self, settings: Cgan) -> None:
        super().__init__()
        narrow, wide = 2 * settings.width, 4 * settings.width
        self.body = nn.Sequential(
            nn.Conv2d(1, narrow, 4, stride=2, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(narrow, wide, 4, stride=2, padding=1),
            nn.LeakyReLU(0.2),
            nn.Flatten(),
            nn.Linear(wide * 7 * 7, wide),
            nn.LeakyReLU(0.2),
        )
        self.score = nn.Linear(wide, 1)
        self.embedding = nn.Embedding(10, wide)

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        """Scores."""
        features = self.body(images * 2 - 1)
        scores: Tensor = self.score(features).squeeze(1) + (features * self.embedding(labels)).sum(1)
        return scores


def discriminator_loss(discriminator: nn.Module, real: Tensor, generated: Tensor, labels: Tensor) -> Tensor:
    """-log D(real) - log(1 - D(generated)), D the sigmoid of the score; `generated` is cut off from its generator."""
    scores = discriminator(torch.cat([real, generated.detach()]), torch.cat([labels, labels]))
    on_real, on_generated = scores.float().chunk(2)
    return F.softplus(-on_real).mean() + F.softplus(on_generated).mean()


def generator_loss(discriminator: nn.Module, generated: Tensor, labels: Tensor) -> Tensor:
    """-log D(generated), the non-saturating form."""
    scores: Tensor = discriminator(generated, labels)
    return F.softplus(-scores.float()).mean()
