"""Random geometric augmentation of whole batches, on the device that trains.

One bilinear resampling does rotation, shear, scale, shift and elastic displacement together, with another warp for
every image. Elastic displacement follows P. Simard, D. Steinkraus, J. Platt, "Best
Practices for Convolutional Neural Networks Applied to Visual Document Analysis", ICDAR 2003.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

from tenfold.settings import Warp

ELASTIC_SMOOTHING_PX: Final = 4.0  # standard deviation of the Gaussian that smooths the displacement


def warped(images: Tensor, settings: Warp, rng: torch.Generator) -> Tensor:
    """Each of `images` float (N, 1, H, W) under its own random warp; pixels from outside are 0."""
    n, _, height, _ = images.shape
    matrices = random_matrices(n, settings, height, images.device, rng)
    displacement = None
    if settings.elastic_px > 0:
        displacement = elastic_displacement(n, height, settings.elastic_px, images.device, rng)
    return resampled(images, matrices, displacement)


def random_matrices(n: int, settings: Warp, side: int, device: torch.device, rng: torch.Generator) -> Tensor:
    """Affine matrices (n, 2, 3), each parameter uniform within plus or minus its setting."""
    u = torch.rand(n, 6, device=device, generator=rng) * 2 - 1
    return affine_matrices(
        rotation_deg=u[:, 0] * settings.rotation_deg,
        shear_deg=u[:, 1] * settings.shear_deg,
        scale=1 + u[:, 2:4] * settings.scale,
        shift_px=u[:, 4:6] * settings.shift_px,
        side=side,
    )


def affine_matrices(rotation_deg: Tensor, shear_deg: Tensor, scale: Tensor, shift_px: Tensor, side: int) -> Tensor:
    """Matrices (N, 2, 3) for `resampled`, which map output coordinates to input coordinates.

    As seen in the picture: scaled by `scale` (N, 2: x, y), sheared so that its top leans right for positive
    `shear_deg` (N,), rotated counter-clockwise by `rotation_deg` (N,), then moved right and down by
    `shift_px` (N, 2: x, y).
    """
    angle, lean = rotation_deg * (math.pi / 180), torch.tan(shear_deg * (math.pi / 180))
    cos, sin = angle.cos(), angle.sin()
    # Forward map A = R S D in image coordinates (x right, y down); a counter-clockwise turn is [c s; -s c].
    # Its inverse is D^-1 S^-1 R^-1 with R^-1 = [c -s; s c] and S^-1 = [1 lean; 0 1].
    inverse_x = torch.stack([cos + lean * sin, -sin + lean * cos], 1) / scale[:, :1]
    inverse_y = torch.stack([sin, cos], 1) / scale[:, 1:]
    inverse = torch.stack([inverse_x, inverse_y], 1)
    shift = shift_px * (2 / side)  # grid_sample's coordinates span 2 across the image
    return torch.cat([inverse, -(inverse @ shift.unsqueeze(2))], 2)


def resampled(images: Tensor, matrices: Tensor, displacement_px: Tensor | None = None) -> Tensor:
    """Images (N, 1, H, W) under matrices (N, 2, 3), plus a displacement (N, H, W, 2: x, y) in pixels."""
    grid = F.affine_grid(matrices, list(images.shape), align_corners=False)
    if displacement_px is not None:
        grid = grid + displacement_px * (2 / images.shape[-1])
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def elastic_displacement(n: int, side: int, std_px: float, device: torch.device, rng: torch.Generator) -> Tensor:
    """Smooth random displacement (n, side, side, 2) with standard deviation `std_px` along each axis."""
    noise = torch.randn(n, 2, side, side, device=device, generator=rng)
    smooth = _smoothing(side, device)
    return (smooth @ noise @ smooth.T).permute(0, 2, 3, 1) * std_px


@lru_cache
def _smoothing(side: int, device: torch.device) -> Tensor:
    """(side, side) matrix that smooths one axis of white noise and keeps its variance at 1."""
    x = torch.arange(side, dtype=torch.float32, device=device)
    weights = torch.exp(-((x[:, None] - x) ** 2) / (2 * ELASTIC_SMOOTHING_PX**2))
    return weights / weights.norm(dim=1, keepdim=True)
