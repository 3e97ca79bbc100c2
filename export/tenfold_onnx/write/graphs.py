"""The modules that are exported: trained networks, wrapped to speak the contract."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn


class Ensemble(nn.Module):
    """Mean probability of classifiers that take float32 (N, 1, 28, 28) in [0, 1] and give logits (N, 10)."""

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Images uint8 (N, 28, 28) to probabilities float32 (N, 10) and label int64 (N,)."""
        probabilities = self.probabilities(images.to(torch.float32).div(255).unsqueeze(1))
        return probabilities, probabilities.argmax(1)

    def probabilities(self, x: Tensor) -> Tensor:
        """Float (N, 1, 28, 28) in [0, 1] to probabilities (N, 10) of the same dtype."""
        return torch.stack([member(x).softmax(1) for member in self.members]).mean(0)


class Drawing(nn.Module):
    """Images from a generator that takes z (N, Z) and labels (N,) and gives float (N, 1, 28, 28) in [0, 1]."""

    def __init__(self, generator: nn.Module) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        """Latent z float32 (N, Z) and labels int64 (N,) to images uint8 (N, 28, 28)."""
        grey = cast(Tensor, self.generator(z, labels)).squeeze(1)
        return grey.mul(255).round().clamp(0, 255).to(torch.uint8)
