"""The modules that are exported: trained networks, wrapped to speak the contract."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, cast

import torch
from torch import Tensor, nn

from tenfold_onnx.contract import CLASSES, LEAST_EXTENT, LEAST_INK, MOST_SEEN, NO_DIGIT, NOISE_EDGES, NOISE_SEEN, SIDE

BOX: Final = 20  # pixels of the net's that the digit's longer side takes
LEAST_PROBABILITY: Final = 1e-30  # keeps its logarithm finite in float32
INK: Final = 0.15  # share of the strongest ink from which a pixel counts as part of the digit
LEAST_CONTRAST: Final = 16  # grey levels between ground and strongest ink, below which a drawing is blank


def tempered(probabilities: Tensor, temperature: float) -> Tensor:
    """Probabilities (N, 10) to the power of 1 / temperature, scaled to sum to 1: calibration that moves no label.

    C. Guo et al., "On Calibration of Modern Neural Networks", ICML 2017.
    """
    return probabilities.clamp(min=LEAST_PROBABILITY).log().div(temperature).softmax(1)


class Ensemble(nn.Module):
    """Mean probability of classifiers that take float32 (N, 1, 28, 28) in [0, 1] and give logits (N, 10)."""

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


class Explained(nn.Module):
    """A classifier with what its layers make of each image; it has `activations(x)` beside `forward(x)`."""

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
    """A classifier of drawings: finds the digit and prepares it as MNIST's were, all inside the graph.

    MNIST's digits were scaled into a 20x20 box and centred by mass in 28x28 (Y. LeCun et al., "Gradient-Based
    Learning Applied to Document Recognition", 1998). `classifier` takes and gives what `Ensemble` does.
    """

    def __init__(self, classifier: nn.Module) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, drawings: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Drawings uint8 (N, H, W) to probabilities (N, 10), label (N,), seen uint8 (N, 28, 28) and ink (N,)."""
        strokes = _strokes(drawings.to(torch.float32))
        seen, ink, extent = _placed(strokes)
        probabilities, label = self.classifier(seen)
        inked, edges = _texture(seen)
        noise = (inked > NOISE_SEEN) & (edges > NOISE_EDGES)
        readable = (ink >= LEAST_INK) & (extent >= LEAST_EXTENT) & (inked <= MOST_SEEN) & ~noise
        uniform = torch.full_like(probabilities, 1 / CLASSES)
        return (
            torch.where(readable.unsqueeze(1), probabilities, uniform),
            torch.where(readable, label, torch.full_like(label, NO_DIGIT)),
            seen,
            ink,
        )


def _strokes(grey: Tensor) -> Tensor:
    """Grey float (N, H, W) in 0..255 of either polarity to ink in [0, 1], 1 being the drawing's strongest."""
    height, width = grey.shape[1:]
    edges = grey[:, 0].sum(1) + grey[:, -1].sum(1) + grey[:, :, 0].sum(1) + grey[:, :, -1].sum(1)
    ground = (edges / (2 * (height + width))).view(-1, 1, 1)
    above = torch.where(ground > 127.5, ground - grey, grey - ground).clamp(min=0)
    strongest = above.amax((1, 2), keepdim=True)
    return torch.where(strongest >= LEAST_CONTRAST, above / strongest.clamp(min=1), torch.zeros_like(above))


def _placed(strokes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Ink (N, H, W) to the 28x28 that the net sees, the share of ink, and the digit's extent as a share.

    One matrix a side resamples with a triangle as wide as the scale asks for, which neither skips thin strokes
    nor needs an operator whose output size depends on the picture.
    """
    marked = (strokes > INK).to(torch.float32)
    box_y, middle_y = _span(marked.amax(2), strokes.sum(2))
    box_x, middle_x = _span(marked.amax(1), strokes.sum(1))
    longest = torch.maximum(box_y, box_x)
    scale = longest.clamp(min=1) / BOX  # pixels of the drawing to one of the net's
    seen = _sampling(middle_y, scale, strokes.shape[1]) @ strokes
    seen = seen @ _sampling(middle_x, scale, strokes.shape[2]).transpose(1, 2)
    seen = seen / seen.amax((1, 2), keepdim=True).clamp(min=1e-6)
    extent = longest / max(strokes.shape[1], strokes.shape[2])
    return seen.mul(255).round().to(torch.uint8), marked.mean((1, 2)), extent


def _texture(seen: Tensor) -> tuple[Tensor, Tensor]:
    """Of images uint8 (N, 28, 28): the share of inked pixels, and the steps between neighbours, in black to white."""
    level = seen.to(torch.float32) / 255
    down, across = (level[:, 1:] - level[:, :-1]).abs(), (level[:, :, 1:] - level[:, :, :-1]).abs()
    return (level > INK).to(torch.float32).mean((1, 2)), down.sum((1, 2)) + across.sum((1, 2))


def _span(marked: Tensor, ink: Tensor) -> tuple[Tensor, Tensor]:
    """Of one axis, marks and ink (N, L): the length from first to last mark (N,), and the centre of mass (N,)."""
    place = torch.arange(marked.shape[1], dtype=torch.float32, device=marked.device)
    last = (marked * (place + 1)).amax(1)
    first = (marked * (marked.shape[1] - place)).amax(1)  # counted from the far end
    length = (last + first - marked.shape[1]).clamp(min=0)
    return length, (ink * (place + 0.5)).sum(1) / ink.sum(1).clamp(min=1e-6)


def _sampling(middle: Tensor, scale: Tensor, length: int) -> Tensor:
    """Matrices (N, 28, L) that resample one axis about `middle` (N,), `scale` (N,) pixels to one."""
    out = torch.arange(SIDE, dtype=torch.float32, device=middle.device) + 0.5 - SIDE / 2
    place = torch.arange(length, dtype=torch.float32, device=middle.device) + 0.5
    centre = middle.view(-1, 1, 1) + out.view(1, -1, 1) * scale.view(-1, 1, 1)
    reach = scale.clamp(min=1).view(-1, 1, 1)
    return (1 - (place.view(1, 1, -1) - centre).abs() / reach).clamp(min=0) / reach


class Drawing(nn.Module):
    """Images from a generator that takes z (N, Z) and labels (N,) and gives float (N, 1, 28, 28) in [0, 1]."""

    def __init__(self, generator: nn.Module) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        """Latent z float32 (N, Z) and labels int64 (N,) to images uint8 (N, 28, 28)."""
        grey = cast(Tensor, self.generator(z, labels)).squeeze(1)
        return grey.mul(255).round().clamp(0, 255).to(torch.uint8)
