"""A plain training loop, for nets and optimisers other than the pipeline's own."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn, optim

from tenfold.data.digits import Digits
from tenfold.data.warp import warped
from tenfold.models.classifier import MEAN, STD
from tenfold.models.inference import probabilities
from tenfold.settings import Compute, Warp
from tenfold.training.device import autocast

# images float (B, 1, 28, 28) in [0, 1], labels (B,) and a random generator to the images and labels to learn instead
Augment = Callable[[Tensor, Tensor, torch.Generator], tuple[Tensor, Tensor]]


class Normalised(nn.Module):
    """A net behind the normalisation of MNIST's pixels: float (N, 1, 28, 28) in [0, 1] to logits (N, 10)."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        logits: Tensor = self.net((x - MEAN) / STD)
        return logits


def train(
    net: nn.Module,
    optimiser: optim.Optimizer,
    digits: Digits,
    epochs: int,
    seed: int,
    compute: Compute,
    augment: Augment | None = None,
    rate: Callable[[float], float] = lambda done: 1.0,
    batch_size: int = 128,
) -> None:
    """Train on labelled digits with cross-entropy; leave the net in evaluation mode.

    `rate` gives the factor on the learning rate after the share `done` of all steps.
    """
    images, labels = torch.from_numpy(digits.images), torch.from_numpy(digits.known_labels())
    rng = torch.Generator().manual_seed(seed)
    peaks = [group["lr"] for group in optimiser.param_groups]
    steps = len(images) // batch_size
    net.train().to(memory_format=torch.channels_last)
    for epoch in range(epochs):
        order = torch.randperm(len(images), generator=rng)
        for step in range(steps):
            for group, peak in zip(optimiser.param_groups, peaks, strict=True):
                group["lr"] = peak * rate((epoch + (step + 0.5) / steps) / epochs)
            index = order[step * batch_size : (step + 1) * batch_size]
            batch, targets = images[index].unsqueeze(1).float().div_(255), labels[index]
            if augment:
                batch, targets = augment(batch, targets, rng)
            optimiser.zero_grad(set_to_none=True)
            with autocast(compute):
                logits = net(batch.contiguous(memory_format=torch.channels_last))
            F.cross_entropy(logits.float(), targets).backward()
            optimiser.step()
    net.eval()


def warping(warp: Warp) -> Augment:
    """Every image warped."""
    return lambda images, labels, rng: (warped(images, warp, rng), labels)


def rise_and_fall(done: float) -> float:
    """Linear up over the first 15 %, then linear to 0."""
    return done / 0.15 if done < 0.15 else (1 - done) / 0.85


def predicted(net: nn.Module, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """The label that a net predicts for each of images uint8 (N, 28, 28)."""
    return probabilities(net, images, next(net.parameters()).device).argmax(1)


def accuracy(net: nn.Module, digits: Digits) -> float:
    """The share of labelled digits that a net reads right."""
    return float((predicted(net, digits.images) == digits.known_labels()).mean())
