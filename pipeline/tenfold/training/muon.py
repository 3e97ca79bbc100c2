"""Muon for convolution kernels: momentum, with every step replaced by a nearly orthogonal matrix.

K. Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024,
https://kellerjordan.github.io/posts/muon. torch.optim's Muon takes matrices only; here a kernel is treated
as a matrix (out, in * height * width).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import torch
from torch import Tensor, nn, optim

QUINTIC: Final = (3.4445, -4.7750, 2.0315)  # from the post: drives singular values towards 1 in five rounds
ROUNDS: Final = 5


class Muon(optim.Optimizer):
    """Moves each parameter by `lr` along its orthogonalised Nesterov momentum, with decoupled weight decay."""

    def __init__(
        self, parameters: Iterable[nn.Parameter], lr: float, weight_decay: float, momentum: float = 0.9
    ) -> None:
        super().__init__(parameters, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]  # no closure: the loop has its own forward and backward
        """One step; every parameter must have a gradient."""
        for group in self.param_groups:
            lr, momentum = group["lr"], group["momentum"]
            for kernel in group["params"]:
                state = self.state[kernel]
                if not state:
                    state["momentum"] = torch.zeros_like(kernel)
                average = state["momentum"].lerp_(kernel.grad, 1 - momentum)
                step = orthogonalised(kernel.grad.lerp(average, momentum).flatten(1))
                rows, columns = step.shape
                kernel.mul_(1 - lr * group["weight_decay"])
                kernel.add_(step.view_as(kernel), alpha=-lr * max(1.0, rows / columns) ** 0.5)


def orthogonalised(matrix: Tensor) -> Tensor:
    """A matrix with the singular vectors of `matrix` (N, M) and singular values near 1 (about 0.7 to 1.2)."""
    if matrix.shape[0] > matrix.shape[1]:
        return orthogonalised(matrix.T).T  # the smaller of the two Gram matrices
    a, b, c = QUINTIC
    x = matrix / (matrix.norm() + 1e-7)
    for _ in range(ROUNDS):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x
