"""Warps turn the right way, leave alone what they should, and treat each image of a batch by itself."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter, rotate
from torch.testing import assert_close

from tenfold.settings import Warp
from tenfold.warp import affine_matrices, elastic_displacement, resampled, warped

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


@settings(deadline=None, max_examples=30)
@given(
    st.builds(
        Warp,
        rotation_deg=st.floats(0, 180),
        shear_deg=st.floats(0, 45),
        scale=st.floats(0, 0.5),
        shift_px=st.floats(0, 14),
        elastic_px=st.floats(0, 5),
    )
)
def test_any_allowed_warp_keeps_values_in_range(settings_: Warp) -> None:
    out = warped(smooth_images(3), settings_, draws())
    assert out.shape == (3, 1, 28, 28)
    assert bool(((out >= 0) & (out <= 1)).all())
