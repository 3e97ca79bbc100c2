"""The two players of the conditional GAN, and what each of them is after.

The generator is told the digit through a class embedding (M. Mirza, S. Osindero, "Conditional Generative
Adversarial Nets", 2014), the discriminator through a projection (T. Miyato, M. Koyama, "cGANs with
Projection Discriminator", ICLR 2018) with spectral normalisation (T. Miyato et al., ICLR 2018).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from tenfold.settings import Cgan


class Generator(nn.Module):
    """z float (N, Z) and labels (N,) to images float (N, 1, 28, 28) in [0, 1].

    The work is done at 7x7 and 14x14; a pixel shuffle makes 28x28 of four channels, which costs a fraction
    of convolutions at full size.
    """

    def __init__(self, settings: Cgan) -> None:
        super().__init__()
        wide, narrow = 4 * settings.width, 2 * settings.width
        self.embedding = nn.Embedding(10, settings.z_dim)
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
            spectral_norm(nn.Conv2d(1, narrow, 4, stride=2, padding=1)),
            nn.LeakyReLU(0.2),
            spectral_norm(nn.Conv2d(narrow, wide, 4, stride=2, padding=1)),
            nn.LeakyReLU(0.2),
            nn.Flatten(),
            spectral_norm(nn.Linear(wide * 7 * 7, wide)),
            nn.LeakyReLU(0.2),
        )
        self.score = spectral_norm(nn.Linear(wide, 1))
        self.embedding = spectral_norm(nn.Embedding(10, wide))

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        """Scores."""
        features = self.body(images * 2 - 1)
        scores: Tensor = self.score(features).squeeze(1) + (features * self.embedding(labels)).sum(1)
        return scores


def discriminator_loss(discriminator: nn.Module, real: Tensor, generated: Tensor, labels: Tensor) -> Tensor:
    """Hinge: real scores above 1, generated ones (cut off from their generator) below -1."""
    # One pass over both: half the calls, and spectral norm takes its power step once.
    scores = discriminator(torch.cat([real, generated.detach()]), torch.cat([labels, labels]))
    on_real, on_generated = scores.float().chunk(2)
    return F.relu(1 - on_real).mean() + F.relu(1 + on_generated).mean()


def generator_loss(discriminator: nn.Module, generated: Tensor, labels: Tensor) -> Tensor:
    """Generated digits are to score high."""
    scores: Tensor = discriminator(generated, labels)
    return -scores.float().mean()
