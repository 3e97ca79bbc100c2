"""A net layer by layer, as a table and as a diagram."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import torch
from markupsafe import Markup
from torch import Tensor, nn

from tenfold.models.cgan import Discriminator, Generator
from tenfold.report import figures
from tenfold.report.figures import Box
from tenfold.report.markdown import markdown
from tenfold.settings import Cgan

LEFT: Final = -0.3  # columns
RIGHT: Final = 0.3


@dataclass(frozen=True)
class Layer:
    """One layer, in the order of the forward pass."""

    name: str  # path in the module tree
    kind: str
    shape: tuple[int, ...]  # of its output, without the batch
    parameters: int
    multiplications: int  # multiply-accumulates for one digit


def pair(cgan: Cgan) -> dict[str, list[Layer]]:
    """The layers of generator and discriminator."""
    labels = torch.zeros(1, dtype=torch.int64)
    return {
        "generator": layers(Generator(cgan), torch.zeros(1, cgan.z_dim), labels),
        "discriminator": layers(Discriminator(cgan), torch.zeros(1, 1, 28, 28), labels),
    }


@torch.no_grad()
def layers(net: nn.Module, *inputs: Tensor) -> list[Layer]:
    """The layers of a net in the order of its forward pass on `inputs`, a batch of one."""
    passed: list[Layer] = []

    def record(name: str, module: nn.Module, x: Tensor, y: Tensor) -> None:
        parameters = sum(weight.numel() for weight in module.parameters())
        passed.append(Layer(name, _kind(module), tuple(y.shape[1:]), parameters, _multiplications(module, x, y)))

    hooks = []
    for name, module in net.named_modules():
        if not list(module.children()):

            def after(module: nn.Module, x: tuple[Tensor, ...], y: Tensor, name: str = name) -> None:
                record(name, module, x[0], y)

            hooks.append(module.register_forward_hook(after))
    net.eval()(*inputs)
    for hook in hooks:
        hook.remove()
    return passed


def summary(nets: Mapping[str, Sequence[Layer]]) -> str:
    """Every net's layers as a Markdown table."""
    parts = []
    for name, layers in nets.items():
        header = [name, "layer", "output", "parameters", "multiplications"]
        lines = [
            [layer.name, layer.kind, _shape(layer), f"{layer.parameters:,}", f"{layer.multiplications:,}"]
            for layer in layers
        ]
        parameters, multiplications = (
            sum(counts) for counts in zip(*((layer.parameters, layer.multiplications) for layer in layers), strict=True)
        )
        total = ["all", "", "", f"{parameters:,}", f"{multiplications:,}"]
        parts.append(markdown(header, [*lines, total]))
    return "\n\n".join(parts) + "\n"


def diagram(cgan: Cgan) -> Markup:
    """Generator and discriminator side by side, from input to output."""
    nets = pair(cgan)
    embedding, *rest = (layer for layer in nets["generator"] if _shown(layer))
    z = Box(f"z: {cgan.z_dim}", 0.75 * LEFT, 0)
    label = Box(f"label: {_text(embedding)}", 0.75 * RIGHT, 0)
    chain = _chain([*map(_text, rest), "sigmoid → 1×28×28"], 0.0, (z, label), colour=0)

    *body, score = (layer for layer in nets["discriminator"] if _shown(layer) and layer.name != "embedding")
    image = Box("image: 1×28×28", 1.0, 0, colour=1)
    features = _chain([*map(_text, body)], 1.0, (image,), colour=1)
    row = features[-1].row + 1
    alone = Box(_text(score), 1 + 0.6 * LEFT, row, features[-1:], 1)
    projected = Box("times the label's embedding, summed", 1 + 0.85 * RIGHT, row, features[-1:], 1)
    together = Box("sum: the score", 1.0, row + 1, (alone, projected), 1)
    return figures.boxes([z, label, *chain, image, *features, alone, projected, together])


def side_by_side(nets: Mapping[str, Sequence[Layer]]) -> Markup:
    """Nets without branches, one column each, below its input."""
    every: list[Box] = []
    for column, (title, layers) in enumerate(nets.items()):
        start = Box(title, column, 0, colour=column)
        every += [start, *_chain([_text(layer) for layer in layers if _shown(layer)], column, (start,), column)]
    return figures.boxes(every)


def _chain(texts: Sequence[str], column: float, after: Sequence[Box], colour: int) -> list[Box]:
    boxes: list[Box] = []
    for index, text in enumerate(texts):
        boxes.append(Box(text, column, after[0].row + 1 + index, boxes[-1:] or after, colour))
    return boxes


def _shown(layer: Layer) -> bool:
    """Whether a layer has weights or changes the shape. A shortcut is shown with the layer that it bypasses."""
    return ("Shuffle" in layer.kind or layer.parameters > 0) and ".shortcut." not in layer.name


def _text(layer: Layer) -> str:
    residual = ", plus its input" if re.search(r"\.body(\.1)?$", layer.name) else ""
    return f"{layer.kind} → {_shape(layer)}{residual}"


def _shape(layer: Layer) -> str:
    return "×".join(map(str, layer.shape)) or "1"


def _kind(module: nn.Module) -> str:
    kind = type(module).__name__
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        stride = f", stride {module.stride[0]}" if module.stride[0] > 1 else ""
        return f"{kind} {module.kernel_size[0]}×{module.kernel_size[1]}{stride}"
    return kind


def _multiplications(module: nn.Module, x: Tensor, y: Tensor) -> int:
    if isinstance(module, nn.Conv2d):
        return module.weight[0].numel() * y[0].numel()
    if isinstance(module, nn.ConvTranspose2d):
        return module.weight[0].numel() * x[0].numel()
    return module.weight.numel() if isinstance(module, nn.Linear) else 0
