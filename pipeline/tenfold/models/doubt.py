"""How likely an image is no digit at all, judged from what a trained classifier makes of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor, nn

from tenfold.settings import Net

WIDTH: Final = 64


class Doubt(nn.Module):
    """The activations of all a classifier's layers to the probability float (N, 1) that an image is no digit.

    The classifier stays as it is: what looks like nothing that it has seen differs in the early layers already.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, settings: Net) -> None:
        super().__init__()
        features = 2 * sum(settings.channels)
        self.register_buffer("mean", torch.zeros(features))  # of the features, over what it was trained on
        self.register_buffer("std", torch.ones(features))
        self.layers = nn.Sequential(nn.Linear(features, WIDTH), nn.ReLU(), nn.Linear(WIDTH, 1))

    def forward(self, activations: Sequence[Tensor]) -> Tensor:
        """From each layer's output (N, channels, side, side)."""
        return self.logits(features_of(activations)).sigmoid()

    def logits(self, features: Tensor) -> Tensor:
        """From features (N, F) to logits (N, 1)."""
        logits: Tensor = self.layers((features - self.mean) / self.std)
        return logits


def features_of(activations: Sequence[Tensor]) -> Tensor:
    """The maximum and the mean of each channel of each layer, (N, F)."""
    return torch.cat([part for layer in activations for part in (layer.amax((2, 3)), layer.mean((2, 3)))], 1)
