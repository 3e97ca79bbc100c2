"""How good generated digits are: how a classifier reads them, and how near they are to the training digits.

The classifier had no part in fitting the generator. Digits are compared by its features, float (N, C), with real
digits that neither of the two was trained on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tenfold.models.classifier import Classifier
from tenfold.models.inference import Sampler, features

MAX_DIGITS: Final = 5000  # of each kind that are compared
MAX_NEAREST: Final = 2000  # whose nearest training digit is searched
MIN_UNSEEN: Final = 20  # real digits, half of which are compared with as many generated ones
NEIGHBOURS: Final = 5  # the distance of the fifth is the radius of a digit's neighbourhood
CHUNK: Final = 500  # rows whose distances to all others are in memory at once

Features = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Manifold:
    """How two sets of digits overlap.

    precision, recall: T. Kynkäänniemi et al., "Improved Precision and Recall Metric for Assessing Generative
    Models", NeurIPS 2019. density, coverage: M. Naeem et al., "Reliable Fidelity and Diversity Metrics for
    Generative Models", ICML 2020.
    """

    precision: float  # share of generated digits in some real digit's neighbourhood
    recall: float  # share of real digits in some generated digit's neighbourhood
    density: float  # real neighbourhoods that a generated digit lies in, divided by NEIGHBOURS; 1 for real digits
    coverage: float  # share of real digits with a generated one in their neighbourhood


@dataclass(frozen=True)
class Quality:
    """Generated digits, balanced over the classes, compared with as many real ones; each number beside its floor.

    A floor is the same number with further real digits in place of the generated ones: the best possible at this N.
    """

    digits: int
    agreement: tuple[float, ...]  # share that the classifier reads as the requested digit, for 0 to 9
    agreement_mean: float
    frechet: float
    frechet_floor: float
    manifold: Manifold
    manifold_floor: Manifold
    nearest_px: float  # median distance to the nearest training digit, in pixels of full ink
    nearest_floor_px: float
    copies: float  # share nearer to a training digit than 99 % of unseen real digits are; of real ones: 0.01
    cas: tuple[float, ...] = ()  # classification accuracy score of each net that learnt from these digits alone


def measure(
    net: Classifier,
    sample: Sampler,
    train: npt.NDArray[np.uint8],
    unseen: npt.NDArray[np.uint8],
    seed: int,
    device: torch.device,
) -> Quality:
    """Measure a generator's `sample` with a net in evaluation mode and images uint8 (N, 28, 28) of real digits.

    The generator was fitted on `train`; neither it nor the net saw `unseen`, which are MIN_UNSEEN or more.
    """
    n = min(MAX_DIGITS, len(unseen) // 2)
    order = np.random.default_rng(seed).permutation(len(unseen))
    real, others = unseen[order[:n]], unseen[order[n : 2 * n]]
    labels = torch.arange(n) % 10
    rng = torch.Generator(device).manual_seed(seed)
    generated = sample(labels.to(device), rng).cpu().numpy()
    features_real, features_others, features_generated = (
        features(net, part, device) for part in (real, others, generated)
    )
    with torch.inference_mode():
        right = (net.head(torch.from_numpy(features_generated).to(device)).argmax(1).cpu() == labels).numpy()
    near, near_real = (nearest(part[:MAX_NEAREST], train) for part in (generated, real))
    return Quality(
        digits=n,
        agreement=tuple(float(right[labels.numpy() == digit].mean()) for digit in range(10)),
        agreement_mean=float(right.mean()),
        frechet=frechet(features_real, features_generated),
        frechet_floor=frechet(features_real, features_others),
        manifold=manifold(features_real, features_generated),
        manifold_floor=manifold(features_real, features_others),
        nearest_px=float(np.median(near)),
        nearest_floor_px=float(np.median(near_real)),
        copies=float((near < np.quantile(near_real, 0.01)).mean()),
    )


def frechet(real: Features, generated: Features) -> float:
    """Fréchet distance between normal distributions with the features' means and covariances; 0 if these are equal.

    M. Heusel et al., "GANs Trained by a Two Time-Scale Update Rule", NeurIPS 2017, there on Inception's features.
    It has the scale of the features and falls with N, so compare it only with that of real against real digits at the
    same N.
    """
    a, b = real.astype(np.float64), generated.astype(np.float64)
    cov_a, cov_b = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    # tr (A B)^1/2 = tr (A^1/2 B A^1/2)^1/2, whose eigenvalues are real and not negative.
    values, vectors = np.linalg.eigh(cov_a)
    root = (vectors * np.sqrt(values.clip(0))) @ vectors.T
    cross = np.sqrt(np.linalg.eigvalsh(root @ cov_b @ root).clip(0)).sum()
    return float(((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(cov_a) + np.trace(cov_b) - 2 * cross)


def manifold(real: Features, generated: Features) -> Manifold:
    """Compare N features of each kind; N must be more than NEIGHBOURS."""
    a, b = torch.from_numpy(real), torch.from_numpy(generated)
    radius_a, radius_b = _radii(a), _radii(b)
    in_real = torch.zeros(len(b))  # real neighbourhoods that each generated digit lies in
    in_generated = torch.zeros(len(a), dtype=torch.bool)
    covered = torch.zeros(len(a), dtype=torch.bool)
    for start in range(0, len(a), CHUNK):
        part = slice(start, start + CHUNK)
        distance = torch.cdist(a[part], b)
        inside = distance <= radius_a[part, None]
        in_real += inside.sum(0)
        covered[part] = inside.any(1)
        in_generated[part] = (distance <= radius_b).any(1)
    return Manifold(
        precision=float((in_real > 0).float().mean()),
        recall=float(in_generated.float().mean()),
        density=float(in_real.mean()) / NEIGHBOURS,
        coverage=float(covered.float().mean()),
    )


def nearest(images: npt.NDArray[np.uint8], others: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Distance of each of images uint8 (N, 28, 28) to the nearest of `others`, float32 (N,), in pixels of full ink."""
    a, b = (torch.from_numpy(part).flatten(1).float() / 255 for part in (images, others))
    return torch.cat([torch.cdist(part, b).amin(1) for part in a.split(CHUNK)]).numpy()


def _radii(points: Tensor) -> Tensor:
    """Distance of each point to its NEIGHBOURS-th neighbour among the others, (N,)."""
    parts = [torch.cdist(part, points).kthvalue(NEIGHBOURS + 1, 1).values for part in points.split(CHUNK)]
    return torch.cat(parts)
