"""The modules that are exported: trained networks, wrapped to take and return what the contract says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from tenfold_onnx.contract import (
    CLASSES,
    END_OF_BETWEEN,
    FIRST_BETWEEN,
    INK_THRESHOLD,
    MAX_CLUTTER,
    MAX_INKED,
    MAX_NOISE,
    MIN_EXTENT,
    MIN_INK,
    MIN_PROBABILITY,
    NO_DIGIT,
)
from tenfold_onnx.write.preparation import prepare


def tempered(probabilities: Tensor, temperature: float) -> Tensor:
    """Calibrated probabilities (N, 10): to the power of 1 / temperature, normalised to sum to 1. No label changes.

    C. Guo et al., "On Calibration of Modern Neural Networks", ICML 2017.
    """
    return probabilities.clamp(min=MIN_PROBABILITY).log().div(temperature).softmax(1)


class Ensemble(nn.Module):
    """Mean probability of classifiers that take float32 (N, 1, 28, 28) in [0, 1] and return logits (N, 10)."""

    def __init__(self, members: Sequence[nn.Module], temperature: float = 1.0) -> None:
        super().__init__()
        self.members, self.temperature = nn.ModuleList(members), temperature

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Images uint8 (N, 28, 28) to probabilities float32 (N, 10) and label int64 (N,)."""
        probabilities = self.probabilities(images.to(torch.float32).div(255).unsqueeze(1))
        return probabilities, probabilities.argmax(1)

    def probabilities(self, x: Tensor) -> Tensor:
        """Float (N, 1, 28, 28) in [0, 1] to probabilities (N, 10) of the same dtype."""
        mean = torch.stack([member(x).softmax(1) for member in self.members]).mean(0)
        return tempered(mean, self.temperature)


class WithActivations(nn.Module):
    """A classifier that also returns its layers' activations. `net` has `activations(x)` beside `forward(x)`."""

    def __init__(self, net: nn.Module, temperature: float = 1.0) -> None:
        super().__init__()
        self.net, self.temperature = net, temperature

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Images uint8 (N, 28, 28) to probabilities, label, and the activations float32 (N, C, side, side)."""
        x = images.to(torch.float32).div(255).unsqueeze(1)
        logits, activations = cast(tuple[Tensor, list[Tensor]], self.net.activations(x))  # type: ignore[operator]
        probabilities = tempered(logits.softmax(1), self.temperature)
        return probabilities, probabilities.argmax(1), *activations


class Canvas(nn.Module):
    """A classifier of drawings of any size, which finds the digit and places it as in MNIST, all inside the graph.

    `classifier` takes and returns what `Ensemble` does.
    """

    def __init__(self, classifier: nn.Module) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, drawings: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Drawings uint8 (N, H, W) to probabilities (N, 10), label (N,), seen uint8 (N, 28, 28) and ink (N,)."""
        seen, ink, extent, clutter, noise = prepare(drawings)
        probabilities, label = self.classifier(seen)
        inked = (seen > INK_THRESHOLD * 255).to(torch.float32).mean((1, 2))
        readable = (ink >= MIN_INK) & (extent >= MIN_EXTENT) & (inked <= MAX_INKED)
        readable = readable & (clutter <= MAX_CLUTTER) & (noise <= MAX_NOISE)
        uniform = torch.full_like(probabilities, 1 / CLASSES)
        return (
            torch.where(readable.unsqueeze(1), probabilities, uniform),
            torch.where(readable, label, torch.full_like(label, NO_DIGIT)),
            seen,
            ink,
        )


class ImageGenerator(nn.Module):
    """A generator that returns grey levels, also for labels between two digits (see `inputs.labels_between`).

    `generator.embedding` turns labels (N,) into class vectors (N, C); `generator.draw` turns z (N, Z) and these into
    images (N, 1, 28, 28) in [0, 1].
    """

    def __init__(self, generator: nn.Module) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        """Latent z float32 (N, Z) and labels int64 (N,) to images uint8 (N, 28, 28)."""
        between = (labels >= FIRST_BETWEEN) & (labels < END_OF_BETWEEN)
        # Any other label goes to the embedding as it is, which refuses what is no digit.
        start = torch.where(between, labels % 10, labels)
        # Not `//`: its graph compares truth values, which OpenCV, tract and TVM cannot. As float32 these are exact.
        number = labels.to(torch.float32)
        end = torch.where(between, number.div(10).floor().to(torch.int64) % 10, labels)
        share = torch.where(between, number.div(FIRST_BETWEEN).floor(), 0).div(1000).unsqueeze(1)
        embedding = cast(nn.Module, self.generator.embedding)
        first = embedding(start)
        classes = first + share * (embedding(end) - first)  # exactly `first` where the share is 0
        grey = cast(Tensor, self.generator.draw(z, classes)).squeeze(1)  # type: ignore[operator]
        return grey.mul(255).round().clamp(0, 255).to(torch.uint8)
