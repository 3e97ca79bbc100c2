"""Trained nets at work: probabilities and features of images, digits drawn by a generator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from tenfold.models.cgan import Generator
from tenfold.models.classifier import Classifier, ShiftTTA
from tenfold.settings import Net

PREDICT_BATCH: Final = 50  # images; with their shifts five times as many: larger ones are slower and take more memory
SAMPLE_BATCH: Final = 1000  # digits

Sampler = Callable[[Tensor, torch.Generator], Tensor]  # labels (N,) and a random generator -> images uint8 (N, 28, 28)


def for_inference(net: nn.Module, settings: Net) -> nn.Module:
    """A trained net as it answers and is exported: evaluation mode, fp32, with its test-time shifts."""
    assert isinstance(net, Classifier)
    return (ShiftTTA(net, settings.tta_shift_px) if settings.tta_shift_px else net).eval()


@torch.inference_mode()
def probabilities(net: nn.Module, images: npt.NDArray[np.uint8], device: torch.device) -> npt.NDArray[np.float32]:
    """What `net` says of images uint8 (N, 28, 28): float32 (N, 10), worked out in fp32 save under an autocast."""
    was_training = net.training
    net.eval()
    said = _in_batches(lambda batch: net(batch).softmax(1), images, device, 10)
    net.train(was_training)
    return said


@torch.inference_mode()
def features(net: Classifier, images: npt.NDArray[np.uint8], device: torch.device) -> npt.NDArray[np.float32]:
    """What the head of a net in evaluation mode sees of images uint8 (N, 28, 28): float32 (N, C)."""
    return _in_batches(net.embedded, images, device, net.head.in_features)


def sampler(generator: Generator, z_dim: int) -> Sampler:
    """A function that draws digits: labels (N,) and a source of draws to images uint8 (N, 28, 28)."""

    @torch.inference_mode()
    def sample(labels: Tensor, draws: torch.Generator) -> Tensor:
        parts = []
        for part in labels.split(SAMPLE_BATCH):
            z = torch.randn(len(part), z_dim, device=labels.device, generator=draws)
            parts.append(generator(z, part).squeeze(1).mul(255).round().to(torch.uint8))
        return torch.cat(parts)

    return sample


def _in_batches(
    net: Callable[[Tensor], Tensor], images: npt.NDArray[np.uint8], device: torch.device, width: int
) -> npt.NDArray[np.float32]:
    found = torch.empty(len(images), width)  # in place: small pieces kept apart would pin the heap between large ones
    for start in range(0, len(images), PREDICT_BATCH):
        part = slice(start, start + PREDICT_BATCH)
        batch = torch.from_numpy(images[part]).to(device).unsqueeze(1).float().div_(255)
        found[part] = net(batch.contiguous(memory_format=torch.channels_last)).cpu()
    return found.numpy()
