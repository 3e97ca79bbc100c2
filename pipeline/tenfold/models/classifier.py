"""The network that reads digits."""

from __future__ import annotations

import math
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tenfold.seeds import SeedStream
from tenfold.settings import Net

MEAN: Final = 0.1307  # of MNIST's pixels in [0, 1]; used inside the net, so that no caller can normalise twice
STD: Final = 0.3081


class Classifier(nn.Module):
    """float (N, 1, 28, 28) in [0, 1] to logits (N, 10). BatchNorm and ReLU follow every convolution."""

    def __init__(self, settings: Net) -> None:
        super().__init__()
        first, *rest = settings.channels
        halve_before = (len(rest) + 1) // 2  # the first half of the 3x3 convolutions sees 14x14
        layers = [*_convolution(1, first, size=5, stride=2)]
        for index, (inner, outer) in enumerate(zip(settings.channels, rest, strict=False)):
            if index == halve_before:
                layers.append(nn.MaxPool2d(2))
            layers += _convolution(inner, outer, size=3, stride=1)
        self.features = nn.Sequential(*layers)
        self.head = nn.Linear(settings.channels[-1], 10)

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        logits: Tensor = self.head(self.embedded(x))
        return logits

    def embedded(self, x: Tensor) -> Tensor:
        """The input of the head: the maximum of each channel of the last convolution, (N, C)."""
        return torch.amax(self.features((x - MEAN) / STD), dim=(2, 3))

    def activations(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Logits, and the output of each convolution after its ReLU: (N, channels, side, side)."""
        x, activations = (x - MEAN) / STD, []
        for layer in self.features:
            x = layer(x)
            if isinstance(layer, nn.ReLU):
                activations.append(x)
        return self.head(torch.amax(x, dim=(2, 3))), activations

    def kernels(self) -> list[nn.Parameter]:
        """The 3x3 convolutions' kernels, which Muon updates; not those of the first, which has one channel."""
        return [weight for weight in self.parameters() if weight.ndim == 4 and weight.shape[1] > 1]

    def other_parameters(self) -> list[nn.Parameter]:
        """All other parameters."""
        kernels = {id(weight) for weight in self.kernels()}
        return [weight for weight in self.parameters() if id(weight) not in kernels]


class ShiftTTA(nn.Module):
    """A classifier's prediction averaged over the image and its four shifts by `shift_px` pixels.

    float (N, 1, 28, 28) in [0, 1] to log-probabilities (N, 10), which serve as logits.
    """

    def __init__(self, net: Classifier, shift_px: int) -> None:
        super().__init__()
        self.net, self.shift_px = net, shift_px

    def forward(self, x: Tensor) -> Tensor:
        """Log-probabilities."""
        px, (height, width) = self.shift_px, x.shape[2:]
        padded = F.pad(x, (px, px, px, px))
        corners = ((px, px), (0, px), (2 * px, px), (px, 0), (px, 2 * px))  # the first is the image itself
        views = torch.cat([padded[:, :, top : top + height, left : left + width] for top, left in corners])
        log_probs: Tensor = self.net(views).log_softmax(1).view(len(corners), -1, 10)
        return log_probs.logsumexp(0) - math.log(len(corners))


def initial_classifier(settings: Net, seeds: SeedStream) -> Classifier:
    """A classifier with the random initial weights of these seeds."""
    torch.manual_seed(seeds.seed_of("classifier"))
    return Classifier(settings)


def _convolution(inner: int, outer: int, size: int, stride: int) -> list[nn.Module]:
    return [
        nn.Conv2d(inner, outer, size, stride, padding=size // 2, bias=False),
        nn.BatchNorm2d(outer),
        nn.ReLU(inplace=True),  # in place: BatchNorm's backward needs its input, not its output
    ]
