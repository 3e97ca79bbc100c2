"""Well-known nets for these digits, written from their descriptions, each with its author's settings."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn, optim

from tenfold.data.warp import warped
from tenfold.models.classifier import MEAN, STD
from tenfold.settings import Warp


@dataclass(frozen=True)
class Reference:
    """A net and how its author trains it."""

    source: str
    build: Callable[[], nn.Module]
    epochs: int
    batch_size: int
    optimiser: Callable[[nn.Module], optim.Optimizer]
    rate: Callable[[float], float]  # factor on the learning rate, given the epochs done so far
    warp: Warp | None = None


def deotte() -> nn.Module:
    """32C3-32C3-32C5s2-D-64C3-64C3-64C5s2-D-128C4-D-10, ReLU then BatchNorm, dropout 0.4; valid convolutions."""

    def block(inner: int, outer: int, size: int, stride: int = 1, padding: int = 0) -> list[nn.Module]:
        return [nn.Conv2d(inner, outer, size, stride, padding), nn.ReLU(), nn.BatchNorm2d(outer)]

    return nn.Sequential(
        *(block(1, 32, 3) + block(32, 32, 3) + block(32, 32, 5, 2, 2) + [nn.Dropout(0.4)]),
        *(block(32, 64, 3) + block(64, 64, 3) + block(64, 64, 5, 2, 2) + [nn.Dropout(0.4)]),
        *([*block(64, 128, 4), nn.Flatten(), nn.Dropout(0.4), nn.Linear(128, 10)]),
    )


def one_epoch_net() -> nn.Module:
    """Two valid convolutions, each pooled, and two dense layers: 215,000 parameters."""
    return nn.Sequential(
        *(nn.Conv2d(1, 24, 5), nn.MaxPool2d(2), nn.ReLU()),
        *(nn.Conv2d(24, 32, 3), nn.MaxPool2d(2), nn.ReLU()),
        *(nn.Flatten(), nn.Linear(800, 256), nn.ReLU(), nn.Linear(256, 10)),
    )


def examples_net() -> nn.Module:
    """Two valid 3x3 convolutions, one pooling, dropout, two dense layers: 1,200,000 parameters."""
    return nn.Sequential(
        *(nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.25)),
        *(nn.Flatten(), nn.Linear(9216, 128), nn.ReLU(), nn.Dropout(0.5), nn.Linear(128, 10)),
    )


def _one_cycle(progress: float) -> float:
    """Linear up over 30 %, then cosine down, as torch's OneCycleLR has it by default."""
    if progress < 0.3:
        return 0.04 + 0.96 * (1 - float(torch.cos(torch.tensor(progress / 0.3 * torch.pi)))) / 2
    return (1 + float(torch.cos(torch.tensor((progress - 0.3) / 0.7 * torch.pi)))) / 2


REFERENCES: Final = {
    "deotte": Reference(
        source="C. Deotte, '25 million images! [0.99757] MNIST', Kaggle, 2018",
        build=deotte,
        epochs=45,
        batch_size=64,
        optimiser=lambda net: optim.Adam(net.parameters(), lr=1e-3),
        rate=lambda epochs: 0.95 ** int(epochs),
        warp=Warp(rotation_deg=10, shear_deg=0, scale=0.1, shift_px=2.8),
    ),
    "one-epoch": Reference(
        source="T. Oikarinen, 'Training a NN to 99% accuracy on MNIST in 0.76 seconds', GitHub, 2021",
        build=one_epoch_net,
        epochs=1,
        batch_size=256,
        optimiser=lambda net: optim.Adam(net.parameters(), lr=1e-2, betas=(0.7, 0.9)),
        rate=_one_cycle,
    ),
    "examples": Reference(
        source="pytorch/examples, mnist",
        build=examples_net,
        epochs=14,
        batch_size=64,
        optimiser=lambda net: optim.Adadelta(net.parameters(), lr=1.0),
        rate=lambda epochs: 0.7 ** int(epochs),
    ),
}


def trained(
    reference: Reference, images: Tensor, labels: Tensor, seed: int, context: Callable[[], object] | None = None
) -> Iterator[nn.Module]:
    """The net in evaluation mode after each epoch on images uint8 (N, 28, 28), in plain fp32 unless `context` is given.

    `context` makes a context manager for the forward pass, such as autocast; then the net is also channels_last.
    """
    torch.manual_seed(seed)
    rng = torch.Generator().manual_seed(seed)
    net = reference.build()
    if context:
        net = net.to(memory_format=torch.channels_last)
    optimiser = reference.optimiser(net)
    peak = optimiser.param_groups[0]["lr"]
    steps = -(-len(images) // reference.batch_size)
    for epoch in range(reference.epochs):
        net.train()
        order = torch.randperm(len(images), generator=rng)
        for step in range(steps):
            # One-cycle counts in shares of the training, which is one epoch; the others count in epochs.
            optimiser.param_groups[0]["lr"] = peak * reference.rate(epoch + step / steps)
            index = order[step * reference.batch_size : (step + 1) * reference.batch_size]
            batch = images[index].unsqueeze(1).float().div_(255)
            if reference.warp:
                batch = warped(batch, reference.warp, rng)
            optimiser.zero_grad(set_to_none=True)
            F.cross_entropy(_logits(net, (batch - MEAN) / STD, context), labels[index]).backward()
            optimiser.step()
        yield net.eval()


def _logits(net: nn.Module, batch: Tensor, context: Callable[[], object] | None) -> Tensor:
    if not context:
        return net(batch)
    with context():  # type: ignore[attr-defined]
        return net(batch.contiguous(memory_format=torch.channels_last)).float()


@torch.inference_mode()
def predicted(net: nn.Module, images: Tensor) -> Tensor:
    """The labels int64 (N,) that a reference net in evaluation mode predicts in fp32 for images uint8 (N, 28, 28)."""
    return torch.cat([net((part.unsqueeze(1).float() / 255 - MEAN) / STD).argmax(1) for part in images.split(500)])


def accuracy(net: nn.Module, images: Tensor, labels: Tensor) -> float:
    """The share of digits that a reference net reads right."""
    return float((predicted(net, images) == labels).float().mean())
