"""Running trained nets: probabilities and features of images, digits drawn by a generator."""

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

PREDICT_BATCH: Final = 50  # images; five times as many with their shifts: larger is slower and takes more memory
SAMPLE_BATCH: Final = 1000  # digits

Sampler = Callable[[Tensor, torch.Generator], Tensor]  # labels (N,) and an rng -> images uint8 (N, 28, 28)


def for_inference(net: Classifier, settings: Net) -> nn.Module:
    """A trained net as it predicts and is exported: evaluation mode, fp32, with its test-time shifts."""
    return (ShiftTTA(net, settings.tta_shift_px) if settings.tta_shift_px else net).eval()


@torch.inference_mode()
def probabilities(net: nn.Module, images: npt.NDArray[np.uint8], device: torch.device) -> npt.NDArray[np.float32]:
    """Probabilities (N, 10) that `net` gives images uint8 (N, 28, 28), computed in fp32 unless under an autocast."""
    was_training = net.training
    net.eval()
    probs = _in_batches(lambda batch: net(batch).softmax(1), images, device, 10)
    net.train(was_training)
    return probs


@torch.inference_mode()
def features(net: Classifier, images: npt.NDArray[np.uint8], device: torch.device) -> npt.NDArray[np.float32]:
    """The head's input (N, C) for images uint8 (N, 28, 28), of a net in evaluation mode."""
    return _in_batches(net.embedded, images, device, net.head.in_features)


def sampler(generator: Generator, z_dim: int) -> Sampler:
    """A function that draws digits with `generator`, which is in evaluation mode."""

    @torch.inference_mode()
    def sample(labels: Tensor, rng: torch.Generator) -> Tensor:
        parts = []
        for part in labels.split(SAMPLE_BATCH):
            z = torch.randn(len(part), z_dim, device=labels.device, generator=rng)
            parts.append(generator(z, part).squeeze(1).mul(255).round().to(torch.uint8))
        return torch.cat(parts)

    return sample


def _in_batches(
    net: Callable[[Tensor], Tensor], images: npt.NDArray[np.uint8], device: torch.device, width: int
) -> npt.NDArray[np.float32]:
    out = torch.empty(len(images), width)  # written in place: kept pieces would fragment the heap
    for start in range(0, len(images), PREDICT_BATCH):
        part = slice(start, start + PREDICT_BATCH)
        batch = torch.from_numpy(images[part]).to(device).unsqueeze(1).float().div_(255)
        out[part] = net(batch.contiguous(memory_format=torch.channels_last)).cpu()
    return out.numpy()
