"""The modules that are exported: trained networks, wrapped to take and return what the contract says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from tenfold_onnx.contract import (
    BOX,
    CLASSES,
    END_OF_BETWEEN,
    FIRST_BETWEEN,
    INK_THRESHOLD,
    MAX_INKED,
    MIN_CONTRAST,
    MIN_EXTENT,
    MIN_INK,
    MIN_PROBABILITY,
    NO_DIGIT,
    NOISE_EDGES,
    NOISE_INKED,
    SIDE,
)


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
        strokes = _strokes(drawings.to(torch.float32))
        seen, ink, extent = place_digits(strokes)
        probabilities, label = self.classifier(seen)
        inked, edges = _texture(seen)
        noise = (inked > NOISE_INKED) & (edges > NOISE_EDGES)
        readable = (ink >= MIN_INK) & (extent >= MIN_EXTENT) & (inked <= MAX_INKED) & ~noise
        uniform = torch.full_like(probabilities, 1 / CLASSES)
        return (
            torch.where(readable.unsqueeze(1), probabilities, uniform),
            torch.where(readable, label, torch.full_like(label, NO_DIGIT)),
            seen,
            ink,
        )


def place_digits(strokes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """MNIST's placement, the same as `placement.place_digit`, for strokes float32 (N, H, W) in [0, 1].

    Returns images uint8 (N, 28, 28), the share (N,) of inked pixels, and the digit's longer side (N,) as a share of
    the drawing's. Matrices resample, since they need no operator whose output size depends on the drawing.
    """
    marked = (strokes > INK_THRESHOLD).to(torch.float32)
    box_y, centre_y = _extent_and_centre(marked.amax(2), strokes.sum(2))
    box_x, centre_x = _extent_and_centre(marked.amax(1), strokes.sum(1))
    longest = torch.maximum(box_y, box_x)
    scale = longest.clamp(min=1) / BOX  # pixels of the drawing per pixel of the image
    images = _resampling(centre_y, scale, strokes.shape[1]) @ strokes
    images = images @ _resampling(centre_x, scale, strokes.shape[2]).transpose(1, 2)
    images = images / images.amax((1, 2), keepdim=True).clamp(min=1e-6)
    extent = longest / max(strokes.shape[1], strokes.shape[2])
    return images.mul(255).round().to(torch.uint8), marked.mean((1, 2)), extent


def _strokes(grey: Tensor) -> Tensor:
    """Ink (N, H, W) in [0, 1], 1 being a drawing's strongest, from grey levels 0..255 of either polarity."""
    height, width = grey.shape[1:]
    edges = grey[:, 0].sum(1) + grey[:, -1].sum(1) + grey[:, :, 0].sum(1) + grey[:, :, -1].sum(1)
    background = (edges / (2 * (height + width))).view(-1, 1, 1)
    ink = torch.where(background > 127.5, background - grey, grey - background).clamp(min=0)
    strongest = ink.amax((1, 2), keepdim=True)
    return torch.where(strongest >= MIN_CONTRAST, ink / strongest.clamp(min=1), torch.zeros_like(ink))


def _texture(images: Tensor) -> tuple[Tensor, Tensor]:
    """Share (N,) of inked pixels of images uint8 (N, 28, 28), and the sum (N,) of steps between neighbours.

    A step from black to white counts 1.
    """
    level = images.to(torch.float32) / 255
    down, across = (level[:, 1:] - level[:, :-1]).abs(), (level[:, :, 1:] - level[:, :, :-1]).abs()
    return (level > INK_THRESHOLD).to(torch.float32).mean((1, 2)), down.sum((1, 2)) + across.sum((1, 2))


def _extent_and_centre(marked: Tensor, ink: Tensor) -> tuple[Tensor, Tensor]:
    """Of one axis, marks and ink (N, L): the length (N,) from first to last mark, and the centre of mass (N,)."""
    index = torch.arange(marked.shape[1], dtype=torch.float32, device=marked.device)
    last = (marked * (index + 1)).amax(1)
    first = (marked * (marked.shape[1] - index)).amax(1)  # counted from the far end
    length = (last + first - marked.shape[1]).clamp(min=0)
    return length, (ink * (index + 0.5)).sum(1) / ink.sum(1).clamp(min=1e-6)


def _resampling(centre: Tensor, scale: Tensor, length: int) -> Tensor:
    """Matrices (N, 28, L) that resample one axis about `centre` (N,), with `scale` (N,) pixels per output pixel."""
    out = torch.arange(SIDE, dtype=torch.float32, device=centre.device) + 0.5 - SIDE / 2
    pixels = torch.arange(length, dtype=torch.float32, device=centre.device) + 0.5
    middle = centre.view(-1, 1, 1) + out.view(1, -1, 1) * scale.view(-1, 1, 1)
    reach = scale.clamp(min=1).view(-1, 1, 1)
    return (1 - (pixels.view(1, 1, -1) - middle).abs() / reach).clamp(min=0) / reach


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
