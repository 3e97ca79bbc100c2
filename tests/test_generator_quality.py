"""The generator's scores are right where the truth is known, and detect collapse, noise and copies."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch
from conftest import few_digits
from scipy.linalg import sqrtm
from torch import Tensor

from tenfold.evaluation.generator_quality import NEIGHBOURS, frechet, manifold, measure, nearest
from tenfold.models.classifier import Classifier
from tenfold.settings import Net
from tenfold.sources import sample

CPU = torch.device("cpu")
Features = npt.NDArray[np.float32]


def normal_features(n: int, seed: int, mean: float = 0.0, std: float = 1.0) -> Features:
    return (mean + std * np.random.default_rng(seed).standard_normal((n, 6))).astype(np.float32)


def test_the_frechet_distance_follows_its_formula() -> None:
    a, b = normal_features(4000, seed=1), normal_features(4000, seed=2, mean=0.7, std=1.5)
    cov_a, cov_b = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    expected = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(cov_a + cov_b - 2 * sqrtm(cov_a @ cov_b).real)
    assert frechet(a, b) == pytest.approx(float(expected), rel=1e-5)
    assert frechet(a, b) == pytest.approx(6 * 0.7**2 + 6 * 0.5**2, rel=0.1)  # of the distributions themselves
    assert frechet(a, a) == pytest.approx(0, abs=1e-6)


def test_equal_distributions_score_near_one() -> None:
    scores = manifold(normal_features(1000, seed=1), normal_features(1000, seed=2))
    assert min(scores.precision, scores.recall, scores.coverage) > 0.9
    assert scores.density == pytest.approx(1, abs=0.1)


def test_a_collapse_is_precise_but_covers_little() -> None:
    scores = manifold(normal_features(1000, seed=1), normal_features(1000, seed=2, std=0.05))
    assert scores.precision > 0.99 and scores.recall < 0.05 and scores.coverage < 0.2


def test_features_far_from_real_ones_score_zero() -> None:
    scores = manifold(normal_features(1000, seed=1), normal_features(1000, seed=2, mean=50))
    assert (scores.precision, scores.recall, scores.density, scores.coverage) == (0, 0, 0, 0)


def test_the_manifold_follows_its_definition() -> None:
    real, generated = normal_features(40, seed=1), normal_features(40, seed=2)

    def distances(a: Features, b: Features) -> npt.NDArray[np.float64]:
        return np.linalg.norm(a[:, None].astype(np.float64) - b[None], axis=2)

    def radii(points: Features) -> npt.NDArray[np.float64]:
        return np.sort(distances(points, points), axis=1)[:, NEIGHBOURS]  # the first is the point itself

    in_real = distances(real, generated) <= radii(real)[:, None]
    in_generated = distances(real, generated) <= radii(generated)[None]
    scores = manifold(real, generated)
    assert scores.precision == pytest.approx(in_real.any(0).mean())
    assert scores.recall == pytest.approx(in_generated.any(1).mean())
    assert scores.density == pytest.approx(in_real.sum() / 40 / NEIGHBOURS)
    assert scores.coverage == pytest.approx(in_real.any(1).mean())


def test_the_nearest_image_is_found() -> None:
    images, others = few_digits(30).images, few_digits(900, seed=1).images
    others[700] = images[3]
    expected = np.array(
        [np.linalg.norm(((image / 255.0) - others / 255.0).reshape(900, -1), axis=1).min() for image in images]
    )
    distances = nearest(images, others)
    assert distances == pytest.approx(expected, abs=1e-2)
    assert distances[3] == pytest.approx(0, abs=1e-2)


def test_copies_of_training_digits_are_detected() -> None:
    train, test = sample.load()
    labels = train.known_labels()
    rng = np.random.default_rng(0)

    def copying(requested: Tensor, _: torch.Generator) -> Tensor:
        rows = [int(rng.choice(np.flatnonzero(labels == digit))) for digit in requested.tolist()]
        return torch.from_numpy(train.images[rows])

    def original(requested: Tensor, _: torch.Generator) -> Tensor:
        return torch.from_numpy(test.images[rng.integers(0, len(test), len(requested))])

    net = Classifier(Net((8, 16, 24), tta_shift_px=0)).eval()
    of_copies, of_originals = (measure(net, draw, train.images, test.images, 0, CPU) for draw in (copying, original))
    assert of_copies.digits == 500 and len(of_copies.agreement) == 10
    assert of_copies.copies > 0.9 and of_copies.nearest_px == pytest.approx(0, abs=0.01)
    assert of_originals.copies < 0.1
    assert of_originals.nearest_px == pytest.approx(of_originals.nearest_floor_px, rel=0.2)
    assert of_originals.frechet < 3 * of_originals.frechet_floor
