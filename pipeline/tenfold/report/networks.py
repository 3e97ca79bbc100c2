"""What a net consists of, layer by layer: as a table and as a diagram."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from markupsafe import Markup
from torch import Tensor, nn

from tenfold.cgan import Discriminator, Generator
from tenfold.report import figures
from tenfold.settings import Cgan
from tenfold.table import markdown


@dataclass(frozen=True)
class Layer:
    """One layer as a digit passes it."""

    name: str  # its place in the net
    what: str
    shape: tuple[int, ...]  # of its output, without the batch
    parameters: int
    multiplications: int  # multiply-accumulates for one digit


def players(cgan: Cgan) -> dict[str, list[Layer]]:
    """The layers of both players."""
    labels = torch.zeros(1, dtype=torch.int64)
    return {
        "generator": layers(Generator(cgan), torch.zeros(1, cgan.z_dim), labels),
        "discriminator": layers(Discriminator(cgan), torch.zeros(1, 1, 28, 28), labels),
    }


@torch.no_grad()
def layers(net: nn.Module, *inputs: Tensor) -> list[Layer]:
    """The layers of a net in the order in which `inputs`, of a batch of one, pass them."""
    found: list[Layer] = []

    def seen(name: str, module: nn.Module, given: Tensor, made: Tensor) -> None:
        parameters = sum(weight.numel() for weight in module.parameters())
        found.append(
            Layer(name, _described(module), tuple(made.shape[1:]), parameters, _multiplied(module, given, made))
        )

    hooks = []
    for name, module in net.named_modules():
        if not list(module.children()):

            def after(module: nn.Module, given: tuple[Tensor, ...], made: Tensor, name: str = name) -> None:
                seen(name, module, given[0], made)

            hooks.append(module.register_forward_hook(after))
    net.eval()(*inputs)
    for hook in hooks:
        hook.remove()
    return found


def summary(nets: dict[str, list[Layer]]) -> str:
    """Every net's layers as a Markdown table."""
    parts = []
    for name, its in nets.items():
        header = [name, "layer", "output", "parameters", "multiplications"]
        lines = [
            [layer.name, layer.what, _shape(layer), f"{layer.parameters:,}", f"{layer.multiplications:,}"]
            for layer in its
        ]
        total = [
            "all",
            "",
            "",
            *(f"{sum(getattr(layer, key) for layer in its):,}" for key in ("parameters", "multiplications")),
        ]
        parts.append(markdown(header, [*lines, total]))
    return "\n\n".join(parts) + "\n"


def diagram(nets: dict[str, list[Layer]]) -> Markup:
    """The nets side by side, each from top to bottom."""
    return figures.stacks(
        {
            name: [f"{layer.what}  →  {_shape(layer)}" for layer in its if layer.parameters or "Shuffle" in layer.what]
            for name, its in nets.items()
        }
    )


def _shape(layer: Layer) -> str:
    return "×".join(map(str, layer.shape)) or "1"


def _described(module: nn.Module) -> str:
    kind = type(module).__name__
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        stride = f", stride {module.stride[0]}" if module.stride[0] > 1 else ""
        return f"{kind} {module.kernel_size[0]}×{module.kernel_size[1]}{stride}"
    return kind


def _multiplied(module: nn.Module, given: Tensor, made: Tensor) -> int:
    if isinstance(module, nn.Conv2d):
        return module.weight[0].numel() * made[0].numel()
    if isinstance(module, nn.ConvTranspose2d):
        return module.weight[0].numel() * given[0].numel()
    return module.weight.numel() if isinstance(module, nn.Linear) else 0
