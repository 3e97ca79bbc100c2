"""Muon's step follows its definition: orthogonal, along the momentum, and independent of the gradient's size."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tenfold.training.muon import Muon, orthogonalised


@pytest.mark.parametrize("shape", [(32, 144), (144, 32), (48, 48), (8, 9)])
def test_singular_values_become_one_and_vectors_stay(shape: tuple[int, int]) -> None:
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    u, s, vh = torch.linalg.svd(matrix, full_matrices=False)
    in_its_basis = u.T @ orthogonalised(matrix) @ vh.T
    values = in_its_basis.diagonal()
    large = s > 0.05 * s[0]  # five rounds don't raise the smallest ones to 1
    assert large.sum() >= 0.8 * len(s)
    assert (values[large] > 0.6).all() and (values[large] < 1.3).all()
    assert (in_its_basis - torch.diag(values)).abs().max() < 1e-3


def test_a_step_is_decay_plus_orthogonal_nesterov_momentum() -> None:
    rng = torch.Generator().manual_seed(1)
    kernel = nn.Parameter(torch.randn(6, 4, 3, 3, generator=rng))
    muon = Muon([kernel], lr=0.1, weight_decay=0.5, momentum=0.9)
    average = torch.zeros(6, 36)
    for _ in range(3):
        kernel.grad = torch.randn(6, 4, 3, 3, generator=rng)
        gradient = kernel.grad.reshape(6, 36)
        average = 0.9 * average + 0.1 * gradient
        u, _, vh = torch.linalg.svd(0.1 * gradient + 0.9 * average, full_matrices=False)
        expected = (kernel.detach() * (1 - 0.1 * 0.5)).reshape(6, 36) - 0.1 * u @ vh
        muon.step()
        # The exact step has length 1 along each singular direction; five rounds come near that.
        assert (kernel.detach().reshape(6, 36) - expected).norm() < 0.4 * 0.1 * 6**0.5


@pytest.mark.parametrize("factor", [1e-4, 1e4])
def test_the_size_of_the_gradient_does_not_matter(factor: float) -> None:
    steps = []
    for scale in (1.0, factor):
        kernel = nn.Parameter(torch.zeros(5, 3, 3, 3))
        kernel.grad = scale * torch.randn(5, 3, 3, 3, generator=torch.Generator().manual_seed(2))
        Muon([kernel], lr=0.1, weight_decay=0.0).step()
        steps.append(kernel.detach())
    assert steps[0].numpy() == pytest.approx(steps[1].numpy(), abs=2e-3)
