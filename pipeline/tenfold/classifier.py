"""The network that reads digits."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn

from tenfold.settings import Net

MEAN: Final = 0.1307  # of MNIST's pixels in [0, 1]; here alone, so that no caller can normalise twice
STD: Final = 0.3081


class Classifier(nn.Module):
    """float (N, 1, 28, 28) in [0, 1] to logits (N, 10). BatchNorm and ReLU follow every convolution."""

    def __init__(self, settings: Net) -> None:
        super().__init__()
        first, *rest = settings.channels
        halve_before = (len(rest) + 1) // 2  # of the 3x3 convolutions, the first half sees 14x14
        layers = [*_convolution(1, first, size=5, stride=2)]
        for place, (inner, outer) in enumerate(zip(settings.channels, rest, strict=False)):
            if place == halve_before:
                layers.append(nn.MaxPool2d(2))
            layers += _convolution(inner, outer, size=3, stride=1)
        self.features = nn.Sequential(*layers)
        self.head = nn.Linear(settings.channels[-1], 10)

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        x = self.features((x - MEAN) / STD)
        logits: Tensor = self.head(torch.amax(x, dim=(2, 3)))
        return logits


def _convolution(inner: int, outer: int, size: int, stride: int) -> list[nn.Module]:
    return [
        nn.Conv2d(inner, outer, size, stride, padding=size // 2, bias=False),
        nn.BatchNorm2d(outer),
        nn.ReLU(),
    ]
