"""What a net consists of, layer by layer: as a table and as a diagram."""

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


def summary(nets: Mapping[str, Sequence[Layer]]) -> str:
    """Every net's layers as a Markdown table."""
    parts = []
    for name, its in nets.items():
        header = [name, "layer", "output", "parameters", "multiplications"]
        lines = [
            [layer.name, layer.what, _shape(layer), f"{layer.parameters:,}", f"{layer.multiplications:,}"]
            for layer in its
        ]
        parameters, multiplications = (
            sum(counts) for counts in zip(*((layer.parameters, layer.multiplications) for layer in its), strict=True)
        )
        total = ["all", "", "", f"{parameters:,}", f"{multiplications:,}"]
        parts.append(markdown(header, [*lines, total]))
    return "\n\n".join(parts) + "\n"


def diagram(cgan: Cgan) -> Markup:
    """Both players side by side, from what they are given to what they make."""
    nets = players(cgan)
    embedding, *rest = (layer for layer in nets["generator"] if _shown(layer))
    z = Box(f"z: {cgan.z_dim}", 0.75 * LEFT, 0)
    label = Box(f"label: {_text(embedding)}", 0.75 * RIGHT, 0)
    chain = _chain([*map(_text, rest), "sigmoid → 1×28×28"], 0.0, (z, label), colour=0)

    *body, score = (layer for layer in nets["discriminator"] if _shown(layer) and layer.name != "embedding")
    planes = "" if cgan.condition == "projection" else " and the label as 10 planes"
    image = Box(f"image: 1×28×28{planes}", 1.0, 0, colour=1)
    features = _chain([*map(_text, body)], 1.0, (image,), colour=1)
    row = features[-1].row + 1
    if cgan.condition == "planes":
        return figures.boxes([z, label, *chain, image, *features, Box(_text(score), 1.0, row, features[-1:], 1)])
    alone = Box(_text(score), 1 + 0.6 * LEFT, row, features[-1:], 1)
    projected = Box("times the label's embedding, summed", 1 + 0.85 * RIGHT, row, features[-1:], 1)
    together = Box("sum: the score", 1.0, row + 1, (alone, projected), 1)
    return figures.boxes([z, label, *chain, image, *features, alone, projected, together])


def side_by_side(nets: Mapping[str, Sequence[Layer]]) -> Markup:
    """Nets without branches as a column each, under what each of them is given."""
    every: list[Box] = []
    for column, (given, its) in enumerate(nets.items()):
        start = Box(given, column, 0, colour=column)
        every += [start, *_chain([_text(layer) for layer in its if _shown(layer)], column, (start,), column)]
    return figures.boxes(every)


def _chain(texts: Sequence[str], column: float, after: Sequence[Box], colour: int) -> list[Box]:
    made: list[Box] = []
    for place, text in enumerate(texts):
        made.append(Box(text, column, after[0].row + 1 + place, made[-1:] or after, colour))
    return made


def _shown(layer: Layer) -> bool:
    """Whether a layer has weights, or changes the shape; a shortcut is told with the layer that it goes round."""
    return ("Shuffle" in layer.what or layer.parameters > 0) and ".shortcut." not in layer.name


def _text(layer: Layer) -> str:
    round_it = ", its input added" if re.search(r"\.body(\.1)?$", layer.name) else ""
    return f"{layer.what} → {_shape(layer)}{round_it}"


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
