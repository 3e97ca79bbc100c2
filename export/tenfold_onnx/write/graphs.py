"""The modules that are exported: trained networks, wrapped to take and return what the contract says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, cast

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
    MIN_LIKENESS,
    MIN_LIKENESS_IN_PARTS,
    MIN_PROBABILITY,
    NO_DIGIT,
    Verdict,
)
from tenfold_onnx.write.preparation import prepare

MOST_DOUBT: Final = 0.999  # with more, rounding could make all probabilities equal


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


class Light(nn.Module):
    """A single classifier, whose probabilities are the nearer to 0.1 the likelier an image is no digit.

    `net` has `activations(x)`, which returns logits and each layer's activations. `doubt` makes of the activations the
    probability (N, 1) that an image is no digit; None never doubts. It changes no label.
    """

    def __init__(self, net: nn.Module, temperature: float = 1.0, doubt: nn.Module | None = None) -> None:
        super().__init__()
        self.net, self.temperature, self.doubt = net, temperature, doubt

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """As `Ensemble`."""
        probabilities = self.probabilities(images.to(torch.float32).div(255).unsqueeze(1))
        return probabilities, probabilities.argmax(1)

    def probabilities(self, x: Tensor) -> Tensor:
        """As `Ensemble`."""
        return self.explained(x)[0]

    def explained(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Probabilities, and the activations (N, C, side, side)."""
        logits, activations = cast(tuple[Tensor, list[Tensor]], self.net.activations(x))  # type: ignore[operator]
        probabilities = tempered(logits.softmax(1), self.temperature)
        if self.doubt is not None:
            doubt = self.doubt(activations).clamp(max=MOST_DOUBT)
            probabilities = probabilities + doubt * (1 / CLASSES - probabilities)
        return probabilities, activations


class WithActivations(nn.Module):
    """A classifier that also returns its layers' activations."""

    def __init__(self, light: Light) -> None:
        super().__init__()
        self.light = light

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Images uint8 (N, 28, 28) to probabilities, label, and the activations float32 (N, C, side, side)."""
        probabilities, activations = self.light.explained(images.to(torch.float32).div(255).unsqueeze(1))
        return probabilities, probabilities.argmax(1), *activations


class Canvas(nn.Module):
    """A classifier of drawings of any size, which finds the digit and places it as in MNIST, all inside the graph.

    `classifier` takes and returns what `Light` does.
    """

    def __init__(self, classifier: nn.Module) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, drawings: Tensor) -> tuple[Tensor, ...]:
        """Drawings uint8 (N, H, W) to the outputs of `contract.CANVAS_OUTPUTS`."""
        seen, ink, extent, clutter, noise, parts, boxes = prepare(drawings)
        probabilities, label = self.classifier(seen)
        inked = (seen > INK_THRESHOLD * 255).to(torch.float32).mean((1, 2))
        highest = probabilities.amax(1)
        verdict = torch.zeros_like(highest)
        for holds, why in (  # the last that holds counts
            (highest < MIN_LIKENESS, Verdict.LIKE_NO_DIGIT),
            (inked > MAX_INKED, Verdict.CLUTTERED),
            ((parts > 1) & (highest < MIN_LIKENESS_IN_PARTS), Verdict.SEVERAL),
            ((clutter > MAX_CLUTTER) | (noise > MAX_NOISE), Verdict.CLUTTERED),
            ((ink < MIN_INK) | (extent < MIN_EXTENT), Verdict.BLANK),
        ):
            verdict = torch.where(holds, float(why), verdict)
        unread = (verdict == Verdict.BLANK) | (verdict == Verdict.CLUTTERED)
        return (
            torch.where(unread.unsqueeze(1), torch.full_like(probabilities, 1 / CLASSES), probabilities),
            torch.where(verdict == Verdict.DIGIT, label, torch.full_like(label, NO_DIGIT)),
            seen,
            ink,
            verdict.to(torch.int32),
            parts,
            boxes,
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
