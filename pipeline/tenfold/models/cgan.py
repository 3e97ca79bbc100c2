"""The conditional GAN: generator and discriminator.

The generator gets the digit as a class embedding (M. Mirza, S. Osindero, "Conditional Generative Adversarial Nets",
2014). The discriminator gets it through a projection (T. Miyato, M. Koyama, "cGANs with Projection Discriminator",
ICLR 2018).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tenfold.settings import Cgan


class Residual(nn.Module):
    """body(x) + shortcut(x); `shortcut` brings the input to the output's shape."""

    def __init__(self, body: nn.Module, shortcut: nn.Module | None = None) -> None:
        super().__init__()
        self.body, self.shortcut = body, shortcut or nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Of the body's output shape."""
        y: Tensor = self.body(x) + self.shortcut(x)
        return y


class Generator(nn.Module):
    """z float (N, Z) and labels (N,) to images float (N, 1, 28, 28) in [0, 1].

    It works at 7x7 and 14x14. A pixel shuffle makes 28x28 of four channels, which costs a fraction of convolutions
    at full size.
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
            nn.Conv2d(narrow, 4, 3, padding=1),
            nn.PixelShuffle(2),
        )
        self.wide = wide

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        """Images."""
        return self.draw(z, self.embedding(labels))

    def draw(self, z: Tensor, classes: Tensor) -> Tensor:
        """Images of z (N, Z) and class vectors (N, C), which may be mixtures of the embedding's rows."""
        x = self.start(torch.cat([z, classes], 1)).view(-1, self.wide, 7, 7)
        images: Tensor = self.trunk(x).sigmoid()
        return images


class Discriminator(nn.Module):
    """images float (N, 1, 28, 28) in [0, 1] and labels (N,) to scores (N,), higher = more real."""

    def __init__(self, settings: Cgan) -> None:
        super().__init__()
        narrow, wide = 2 * settings.width, 4 * settings.width
        second: nn.Module = nn.Conv2d(narrow, wide, 4, stride=2, padding=1)
        if settings.skip:
            second = Residual(second, nn.Sequential(nn.AvgPool2d(2), nn.Conv2d(narrow, wide, 1)))
        self.body = nn.Sequential(
            nn.Conv2d(1, narrow, 4, stride=2, padding=1),
            nn.LeakyReLU(0.2),
            second,
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
