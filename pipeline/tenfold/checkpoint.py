"""The state of a training as one safetensors file: tensors by name, and a few strings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn, optim

from tenfold import atomic
from tenfold.errors import BadInput


@dataclass(frozen=True)
class Checkpoint:
    """What a stopped training needs to go on."""

    epochs_done: int
    tensors: dict[str, Tensor]

    @classmethod
    def of(
        cls, epochs_done: int, modules: Mapping[str, nn.Module], optimisers: Mapping[str, optim.Optimizer]
    ) -> Checkpoint:
        """Everything that `modules` and `optimisers` hold, under their names."""
        tensors: dict[str, Tensor] = {}
        for name, module in modules.items():
            tensors |= {f"{name}/{key}": value for key, value in module.state_dict().items()}
        for name, optimiser in optimisers.items():
            for index, state in optimiser.state_dict()["state"].items():
                tensors |= {f"{name}/{index}/{key}": torch.as_tensor(value) for key, value in state.items()}
        return cls(epochs_done, tensors)

    def restore(self, modules: Mapping[str, nn.Module], optimisers: Mapping[str, optim.Optimizer]) -> None:
        """Put everything back where `of` found it."""
        for name, module in modules.items():
            module.load_state_dict(self._below(name))
        for name, optimiser in optimisers.items():
            state: dict[int, dict[str, Tensor]] = {}
            for key, value in self._below(name).items():
                index, field = key.split("/", 1)
                state.setdefault(int(index), {})[field] = value
            optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})

    def _below(self, name: str) -> dict[str, Tensor]:
        start = f"{name}/"
        return {key[len(start) :]: value for key, value in self.tensors.items() if key.startswith(start)}


def save(path: Path, checkpoint: Checkpoint) -> None:
    """Write it, whole or not at all."""
    tensors = {key: value.detach().to("cpu").contiguous().clone() for key, value in checkpoint.tensors.items()}
    atomic.write(path, safetensors.torch.save(tensors, {"epochs_done": str(checkpoint.epochs_done)}))


def load(path: Path) -> Checkpoint | None:
    """What `save` wrote; None where there is nothing, or nothing that can be read."""
    try:
        with safe_open(str(path), framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (it is no mapping)
            return Checkpoint(int(metadata["epochs_done"]), tensors)
    except (FileNotFoundError, SafetensorError, KeyError, ValueError):
        return None


def require(path: Path) -> Checkpoint:
    """As `load`. Raises BadInput where there is nothing that can be read."""
    found = load(path)
    if found is None:
        raise BadInput(f"{path}: is missing or damaged; run the same `tenfold run` again, which fits it anew")
    return found
