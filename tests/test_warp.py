"""Warps turn the right way, leave alone what they should, and treat each image of a batch by itself."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.ndimage import gaussian_filter, rotate
from torch.testing import assert_close

from tenfold.data.warp import affine_matrices, elastic_displacement, random_matrices, resampled, warped
from tenfold.settings import Warp

STILL = Warp(rotation_deg=0, shear_deg=0, scale=0, shift_px=0, elastic_px=0)
ALL = Warp(rotation_deg=20, shear_deg=10, scale=0.2, shift_px=3, elastic_px=1)


def smooth_images(n: int, seed: int = 0) -> torch.Tensor:
    noise = np.random.default_rng(seed).random((n, 28, 28))
    blurred = gaussian_filter(noise, (0, 2, 2))[:, None]
    blurred[:, :, [0, 1, 2, -3, -2, -1]] = 0
    blurred[..., [0, 1, 2, -3, -2, -1]] = 0
    return torch.from_numpy(blurred).float()


def matrices(
    rotation: float = 0, shear: float = 0, scale: tuple[float, float] = (1, 1), shift: tuple[float, float] = (0, 0)
) -> torch.Tensor:
    return affine_matrices(
        torch.tensor([rotation]), torch.tensor([shear]), torch.tensor([scale]), torch.tensor([shift]), side=28
    )


def draws(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def dot(row: int, column: int) -> torch.Tensor:
    image = torch.zeros(1, 1, 28, 28)
    image[0, 0, row, column] = 1
    return image


def centre_of_mass(image: torch.Tensor) -> tuple[float, float]:
    place = torch.arange(28.0)
    weights = image[0, 0] / image.sum()
    return float(weights.sum(1) @ place), float(weights.sum(0) @ place)


def test_nothing_asked_for_changes_nothing() -> None:
    images = smooth_images(5)
    assert_close(warped(images, STILL, draws()), images, atol=1e-5, rtol=0)


@pytest.mark.parametrize("angle", [-30.0, -8.0, 8.0, 30.0])
def test_rotation_agrees_with_scipy(angle: float) -> None:
    image = smooth_images(1)
    expected = torch.from_numpy(rotate(image[0, 0].numpy(), angle, reshape=False, order=1)).float()
    inner = slice(6, 22)
    turned = resampled(image, matrices(rotation=angle))[0, 0]
    assert_close(turned[inner, inner], expected[inner, inner], atol=2e-3, rtol=0)


def test_a_positive_rotation_is_counter_clockwise() -> None:
    row, column = centre_of_mass(resampled(dot(5, 14), matrices(rotation=20)))  # a dot above the centre
    assert column < 12 and row < 10


def test_a_positive_shear_leans_the_top_to_the_right() -> None:
    _, top = centre_of_mass(resampled(dot(5, 14), matrices(shear=15)))
    _, bottom = centre_of_mass(resampled(dot(22, 14), matrices(shear=15)))
    assert top > 15 and bottom < 13


def test_shift_is_right_and_down_in_whole_pixels() -> None:
    image = smooth_images(1)
    moved = resampled(image, matrices(shift=(2, 3)))
    assert_close(moved[..., 3:, 2:], image[..., :-3, :-2], atol=1e-5, rtol=0)


def test_scale_moves_ink_away_from_the_centre() -> None:
    row, column = centre_of_mass(resampled(dot(8, 18), matrices(scale=(1.5, 2.0))))
    assert row == pytest.approx(13.5 - 2.0 * 5.5, abs=0.2)
    assert column == pytest.approx(13.5 + 1.5 * 4.5, abs=0.2)


def test_parts_compose_as_documented() -> None:
    """Scale, then shear, then rotation, then shift, each by itself, put a dot where the joint warp puts it."""
    x, y = np.array([4.5, -5.5])  # from the centre, x right and y down
    point = np.array([1.2 * x, 0.9 * y])
    point[0] -= np.tan(np.radians(10)) * point[1]  # the top (negative y) leans right
    c, s = np.cos(np.radians(25)), np.sin(np.radians(25))
    point = np.array([[c, s], [-s, c]]) @ point + [2, -1]
    row, column = centre_of_mass(resampled(dot(8, 18), matrices(25, 10, (1.2, 0.9), (2, -1))))
    assert (column - 13.5, row - 13.5) == pytest.approx(tuple(point), abs=0.25)


def test_each_image_of_a_batch_is_warped_as_it_would_be_alone() -> None:
    images = smooth_images(6)
    many = torch.cat([matrices(rotation=5.0 * i, shift=(i - 2, 1)) for i in range(6)])
    together = resampled(images, many)
    alone = torch.cat([resampled(images[i : i + 1], many[i : i + 1]) for i in range(6)])
    assert_close(together, alone, atol=1e-6, rtol=0)


def test_images_of_a_batch_get_warps_of_their_own() -> None:
    same = smooth_images(1).expand(8, 1, 28, 28)
    out = warped(same, ALL, draws())
    assert all((out[i] - out[j]).abs().max() > 0.01 for i in range(8) for j in range(i))


def test_the_draws_decide() -> None:
    images = smooth_images(4)
    assert torch.equal(warped(images, ALL, draws(3)), warped(images, ALL, draws(3)))
    assert not torch.equal(warped(images, ALL, draws(3)), warped(images, ALL, draws(4)))


def test_elastic_displacement_has_the_asked_size_and_is_smooth() -> None:
    field = elastic_displacement(400, 28, 1.5, torch.device("cpu"), draws())
    assert float(field.std()) == pytest.approx(1.5, rel=0.05)
    assert float((field[:, 1:] - field[:, :-1]).std()) < 0.5


SHAPES = st.tuples(st.integers(1, 4), st.just(1), st.just(28), st.just(28))
IMAGES = arrays(np.float32, SHAPES, elements=st.floats(0, 1, width=32), fill=st.just(np.float32(0)))
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
@given(IMAGES.map(torch.from_numpy), WARPS, SEEDS)
def test_any_warp_of_any_images_is_finite_and_in_range(images: torch.Tensor, asked: Warp, seed: int) -> None:
    out = warped(images, asked, draws(seed))
    assert out.shape == images.shape and bool(out.isfinite().all())
    assert float(out.min()) >= 0 and float(out.max()) <= float(images.max()) + 1e-6


@settings(deadline=None, max_examples=20)
@given(IMAGES.map(torch.from_numpy), SEEDS)
def test_a_warp_by_nothing_gives_any_images_back(images: torch.Tensor, seed: int) -> None:
    assert_close(warped(images, STILL, draws(seed)), images, atol=1e-4, rtol=0)


@settings(deadline=None, max_examples=20)
@given(IMAGES.map(torch.from_numpy), WARPS, SEEDS)
def test_any_batch_is_warped_as_its_images_would_be_alone(images: torch.Tensor, asked: Warp, seed: int) -> None:
    n, source = len(images), draws(seed)
    many = random_matrices(n, asked, 28, torch.device("cpu"), source)
    moved = elastic_displacement(n, 28, asked.elastic_px, torch.device("cpu"), source)
    alone = [resampled(images[i : i + 1], many[i : i + 1], moved[i : i + 1]) for i in range(n)]
    assert_close(resampled(images, many, moved), torch.cat(alone), atol=1e-4, rtol=0)


@settings(deadline=None, max_examples=30)
@given(WARPS, SEEDS)
def test_no_parameter_leaves_its_range(asked: Warp, seed: int) -> None:
    def drawn(**only: float) -> torch.Tensor:
        """What maps back (200, 2, 3), with one parameter drawn and the others still."""
        return random_matrices(200, replace(STILL, **only), 28, torch.device("cpu"), draws(seed))

    turned = drawn(rotation_deg=asked.rotation_deg)
    assert float(torch.rad2deg(torch.atan2(turned[:, 1, 0], turned[:, 0, 0])).abs().max()) <= asked.rotation_deg + 1e-3
    leaning = drawn(shear_deg=asked.shear_deg)
    assert float(torch.rad2deg(leaning[:, 0, 1].atan()).abs().max()) <= asked.shear_deg + 1e-3
    scaled = drawn(scale=asked.scale)
    assert float((1 / torch.stack([scaled[:, 0, 0], scaled[:, 1, 1]]) - 1).abs().max()) <= asked.scale + 1e-5
    shifted = drawn(shift_px=asked.shift_px)
    assert float(shifted[:, :, 2].abs().max()) * 14 <= asked.shift_px + 1e-4
