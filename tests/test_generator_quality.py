"""The generator's numbers are right where the truth is known, and tell collapse, noise and copying apart."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from conftest import few_digits
from scipy.linalg import sqrtm
from torch import Tensor

from tenfold.evaluation.generator_quality import frechet, manifold, measured, nearest
from tenfold.models.classifier import Classifier
from tenfold.settings import Net
from tenfold.sources import sample

RNG = np.random.default_rng(0)
CPU = torch.device("cpu")


def cloud(n: int, at: float = 0.0, spread: float = 1.0) -> np.ndarray:  # type: ignore[type-arg]
    return (at + spread * RNG.standard_normal((n, 6))).astype(np.float32)


def test_the_frechet_distance_is_that_of_the_formula() -> None:
    a, b = cloud(4000), cloud(4000, at=0.7, spread=1.5)
    cov_a, cov_b = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    expected = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(cov_a + cov_b - 2 * sqrtm(cov_a @ cov_b).real)
    assert frechet(a, b) == pytest.approx(float(expected), rel=1e-5)
    assert frechet(a, a) == pytest.approx(0, abs=1e-6)
    assert frechet(a, b) == pytest.approx(6 * 0.7**2 + 6 * 0.5**2, rel=0.1)  # of the distributions they came from


def test_the_same_distribution_is_precise_recalled_dense_and_covered() -> None:
    found = manifold(cloud(1500), cloud(1500))
    assert found.precision > 0.9 and found.recall > 0.9 and found.coverage > 0.9
    assert found.density == pytest.approx(1, abs=0.1)


def test_a_collapse_is_precise_and_covers_little_and_noise_is_neither() -> None:
    real = cloud(1000)
    collapsed = manifold(real, cloud(1000, spread=0.05))
    assert collapsed.precision > 0.99 and collapsed.recall < 0.05 and collapsed.coverage < 0.2
    far = manifold(real, cloud(1000, at=50))
    assert (far.precision, far.recall, far.density, far.coverage) == (0, 0, 0, 0)


def test_the_neighbours_are_those_that_a_search_by_hand_finds() -> None:
    real, generated = cloud(40), cloud(40)
    apart = np.linalg.norm(real[:, None] - generated[None], axis=2)
    own = np.sort(np.linalg.norm(real[:, None] - real[None], axis=2), axis=1)[:, 5]  # 0 is the point itself
    inside = apart <= own[:, None]
    found = manifold(real, generated)
    assert found.precision == pytest.approx(inside.any(0).mean())
    assert found.density == pytest.approx(inside.sum() / 40 / 5)
    assert found.coverage == pytest.approx(inside.any(1).mean())


def test_the_nearest_image_is_found() -> None:
    images = few_digits(30).images
    among = few_digits(900, seed=1).images
    among[700] = images[3]
    found = nearest(images, among)
    by_hand = np.linalg.norm((images[:, None] / 255.0 - among[None, :, :, :] / 255.0).reshape(30, 900, -1), axis=2)
    assert found == pytest.approx(by_hand.min(1), abs=1e-2)
    assert found[3] == pytest.approx(0, abs=1e-2)


def test_a_generator_that_copies_is_told_from_one_that_draws() -> None:
    train, test = sample.load()
    labels = train.known_labels()

    def copying(asked: Tensor, draws: torch.Generator) -> Tensor:
        rows = [int(RNG.choice(np.flatnonzero(labels == digit))) for digit in asked.tolist()]
        return torch.from_numpy(train.images[rows])

    unseen = test.images

    def honest(asked: Tensor, draws: torch.Generator) -> Tensor:
        return torch.from_numpy(unseen[RNG.integers(0, len(unseen), len(asked))])

    net = Classifier(Net((8, 16, 24), 0)).eval()
    copies = measured(net, copying, train.images, unseen, 0, CPU)
    drawn = measured(net, honest, train.images, unseen, 0, CPU)
    assert copies.digits == 180 and len(copies.agreement) == 10
    assert copies.copies > 0.9 and copies.nearest_px == pytest.approx(0, abs=1e-3)
    assert drawn.copies < 0.1 and drawn.nearest_px == pytest.approx(drawn.nearest_floor_px, rel=0.2)
    assert drawn.frechet < 3 * drawn.frechet_floor
