"""A trained classifier learns to doubt: letters, scribbles and several digits against digits."""

from __future__ import annotations

from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, optim

from tenfold.data.warp import warped
from tenfold.models.classifier import Classifier
from tenfold.models.doubt import Doubt, features_of
from tenfold.seeds import SeedStream
from tenfold.settings import Net, Warp

DIGIT_WARPS: Final = 2  # of each digit
OTHER_WARPS: Final = 3  # of each image of no digit
OTHER_WEIGHT: Final = 0.04  # in the loss, beside a digit's 1: to doubt a digit is worse
EPOCHS: Final = 12
BATCH: Final = 256
LR: Final = 0.003
WEIGHT_DECAY: Final = 1e-4
CHUNK: Final = 500  # images per forward pass


def fit_doubt(net: Classifier, settings: Net, digits: Tensor, others: Tensor, warp: Warp, seeds: SeedStream) -> Doubt:
    """Fit on digits and on images of no digit, both uint8 (N, 28, 28) on the device of `net`, which stays as it is."""
    device = digits.device
    rng = torch.Generator(device).manual_seed(seeds.seed_of("doubt"))
    net.eval()
    of_digits = [_features(net, digits, warp, rng) for _ in range(DIGIT_WARPS)]
    of_others = [_features(net, others, warp, rng) for _ in range(OTHER_WARPS)]
    features = torch.cat([*of_digits, *of_others])
    is_other = torch.cat([torch.zeros(DIGIT_WARPS * len(digits)), torch.ones(OTHER_WARPS * len(others))]).to(device)
    weights = torch.where(is_other == 1, OTHER_WEIGHT, 1.0)

    torch.manual_seed(seeds.seed_of("doubt's first weights"))
    doubt = Doubt(settings).to(device)
    doubt.mean.copy_(features.mean(0))
    doubt.std.copy_(features.std(0) + 1e-6)  # a channel may be 0 for all
    optimiser = optim.AdamW(doubt.parameters(), lr=LR, weight_decay=WEIGHT_DECAY)
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(features), generator=rng, device=device).split(BATCH):
            logits = doubt.logits(features[rows]).squeeze(1)
            loss = F.binary_cross_entropy_with_logits(logits, is_other[rows], weights[rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    return doubt.eval()


@torch.no_grad()
def _features(net: Classifier, images: Tensor, warp: Warp, rng: torch.Generator) -> Tensor:
    """Features (N, F) of images uint8 (N, 28, 28), each under a random warp, drawn with another pen."""
    chunks = [_drawn_otherwise(chunk.unsqueeze(1).float().div(255), rng) for chunk in images.split(CHUNK)]
    return torch.cat([features_of(net.activations(warped(chunk, warp, rng))[1]) for chunk in chunks])


def _drawn_otherwise(images: Tensor, rng: torch.Generator) -> Tensor:
    """Images float (N, 1, 28, 28) with thicker or softer strokes: neither is a reason to doubt."""
    amount = torch.rand(len(images), 1, 1, 1, device=images.device, generator=rng) * 2 - 1
    thicker, softer = F.max_pool2d(images, 3, 1, 1), F.avg_pool2d(images, 3, 1, 1)
    return images + amount.abs() * (torch.where(amount > 0, thicker, softer) - images)
