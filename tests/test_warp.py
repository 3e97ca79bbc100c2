"""Warps turn the right way, stay within their settings, and treat each image of a batch independently."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.ndimage import gaussian_filter, rotate
from torch import Tensor
from torch.testing import assert_close

from tenfold.data.warp import affine_matrices, elastic_displacement, random_matrices, resampled, warped
from tenfold.settings import Warp

NO_WARP = Warp(rotation_deg=0, shear_deg=0, scale=0, shift_px=0, elastic_px=0)
ALL_WARPS = Warp(rotation_deg=20, shear_deg=10, scale=0.2, shift_px=3, elastic_px=1)
CPU = torch.device("cpu")


def smooth_images(n: int, seed: int = 0) -> Tensor:
    """Blurred noise with an empty border."""
    noise = np.random.default_rng(seed).random((n, 28, 28))
    blurred = gaussian_filter(noise, (0, 2, 2))[:, None]
    blurred[:, :, [0, 1, 2, -3, -2, -1]] = 0
    blurred[..., [0, 1, 2, -3, -2, -1]] = 0
    return torch.from_numpy(blurred).float()


def matrices(
    rotation: float = 0, shear: float = 0, scale: tuple[float, float] = (1, 1), shift: tuple[float, float] = (0, 0)
) -> Tensor:
    return affine_matrices(
        torch.tensor([rotation]), torch.tensor([shear]), torch.tensor([scale]), torch.tensor([shift]), side=28
    )


def rng_of(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def dot(row: int, column: int) -> Tensor:
    image = torch.zeros(1, 1, 28, 28)
    image[0, 0, row, column] = 1
    return image


def centre_of_mass(image: Tensor) -> tuple[float, float]:
    """Row and column."""
    position = torch.arange(28.0)
    weights = image[0, 0] / image.sum()
    return float(weights.sum(1) @ position), float(weights.sum(0) @ position)


@pytest.mark.parametrize("angle", [-30.0, -8.0, 8.0, 30.0])
def test_rotation_agrees_with_scipy(angle: float) -> None:
    image = smooth_images(1)
    expected = torch.from_numpy(rotate(image[0, 0].numpy(), angle, reshape=False, order=1)).float()
    inner = slice(6, 22)
    rotated = resampled(image, matrices(rotation=angle))[0, 0]
    assert_close(rotated[inner, inner], expected[inner, inner], atol=2e-3, rtol=0)


def test_a_positive_rotation_is_counter_clockwise() -> None:
    row, column = centre_of_mass(resampled(dot(5, 14), matrices(rotation=20)))  # a dot above the centre
    assert column < 12 and row < 10


def test_a_positive_shear_leans_the_top_to_the_right() -> None:
    _, top = centre_of_mass(resampled(dot(5, 14), matrices(shear=15)))
    _, bottom = centre_of_mass(resampled(dot(22, 14), matrices(shear=15)))
    assert top > 15 and bottom < 13


def test_a_shift_moves_right_and_down_by_pixels() -> None:
    image = smooth_images(1)
    moved = resampled(image, matrices(shift=(2, 3)))
    assert_close(moved[..., 3:, 2:], image[..., :-3, :-2], atol=1e-5, rtol=0)


def test_scale_moves_ink_away_from_the_centre() -> None:
    row, column = centre_of_mass(resampled(dot(8, 18), matrices(scale=(1.5, 2.0))))
    assert row == pytest.approx(13.5 - 2.0 * 5.5, abs=0.2)
    assert column == pytest.approx(13.5 + 1.5 * 4.5, abs=0.2)


def test_scale_shear_rotation_and_shift_compose_in_this_order() -> None:
    x, y = np.array([4.5, -5.5])  # a dot seen from the centre, x right and y down
    point = np.array([1.2 * x, 0.9 * y])
    point[0] -= np.tan(np.radians(10)) * point[1]  # the top (negative y) leans right
    cos, sin = np.cos(np.radians(25)), np.sin(np.radians(25))
    point = np.array([[cos, sin], [-sin, cos]]) @ point + [2, -1]
    row, column = centre_of_mass(resampled(dot(8, 18), matrices(25, 10, (1.2, 0.9), (2, -1))))
    assert (column - 13.5, row - 13.5) == pytest.approx(tuple(point), abs=0.25)


def test_images_of_a_batch_get_different_warps() -> None:
    same = smooth_images(1).expand(8, 1, 28, 28)
    out = warped(same, ALL_WARPS, rng_of())
    assert all((out[i] - out[j]).abs().max() > 0.01 for i in range(8) for j in range(i))


def test_the_seed_determines_the_warps() -> None:
    images = smooth_images(4)
    first, same, other = (warped(images, ALL_WARPS, rng_of(seed)) for seed in (3, 3, 4))
    assert torch.equal(first, same) and not torch.equal(first, other)


def test_elastic_displacement_is_smooth_and_of_the_set_size() -> None:
    field = elastic_displacement(400, 28, 1.5, CPU, rng_of())
    assert float(field.std()) == pytest.approx(1.5, rel=0.05)
    assert float((field[:, 1:] - field[:, :-1]).std()) < 0.5


SHAPES = st.tuples(st.integers(1, 4), st.just(1), st.just(28), st.just(28))
IMAGES = arrays(np.float32, SHAPES, elements=st.floats(0, 1, width=32), fill=st.just(np.float32(0))).map(
    torch.from_numpy
)
SEEDS = st.integers(0, 2**32)
WARPS = st.builds(
    Warp,
    rotation_deg=st.floats(0, 180),
    shear_deg=st.floats(0, 60, exclude_max=True),
    scale=st.floats(0, 0.9, exclude_max=True),
    shift_px=st.floats(0, 14),
    elastic_px=st.floats(0, 5),
)


@settings(deadline=None, max_examples=30)
@given(IMAGES, WARPS, SEEDS)
def test_warped_images_are_finite_and_in_range(images: Tensor, warp: Warp, seed: int) -> None:
    out = warped(images, warp, rng_of(seed))
    assert out.shape == images.shape and bool(out.isfinite().all())
    assert float(out.min()) >= 0 and float(out.max()) <= float(images.max()) + 1e-6


@settings(deadline=None, max_examples=20)
@given(IMAGES, SEEDS)
def test_a_warp_of_zero_changes_nothing(images: Tensor, seed: int) -> None:
    assert_close(warped(images, NO_WARP, rng_of(seed)), images, atol=1e-5, rtol=0)


@settings(deadline=None, max_examples=20)
@given(IMAGES, WARPS, SEEDS)
def test_a_batch_is_warped_as_its_images_would_be_alone(images: Tensor, warp: Warp, seed: int) -> None:
    n, rng = len(images), rng_of(seed)
    affine = random_matrices(n, warp, 28, CPU, rng)
    moved = elastic_displacement(n, 28, warp.elastic_px, CPU, rng)
    alone = [resampled(images[i : i + 1], affine[i : i + 1], moved[i : i + 1]) for i in range(n)]
    assert_close(resampled(images, affine, moved), torch.cat(alone), atol=1e-5, rtol=0)


# What a parameter does to the matrices (N, 2, 3), which map output to input coordinates.
MEASURED = {
    "rotation_deg": lambda affine: torch.rad2deg(torch.atan2(affine[:, 1, 0], affine[:, 0, 0])),
    "shear_deg": lambda affine: torch.rad2deg(affine[:, 0, 1].atan()),
    "scale": lambda affine: 1 / torch.stack([affine[:, 0, 0], affine[:, 1, 1]]) - 1,
    "shift_px": lambda affine: affine[:, :, 2] * 14,
}


@pytest.mark.parametrize("parameter", MEASURED)
@settings(deadline=None, max_examples=30)
@given(warp=WARPS, seed=SEEDS)
def test_no_parameter_exceeds_its_setting(parameter: str, warp: Warp, seed: int) -> None:
    limit = getattr(warp, parameter)
    affine = random_matrices(200, replace(NO_WARP, **{parameter: limit}), 28, CPU, rng_of(seed))
    assert float(MEASURED[parameter](affine).abs().max()) <= limit * 1.00001 + 1e-4
