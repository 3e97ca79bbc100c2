"""The state of a training as one safetensors file: tensors by name, the epochs done, and a hash of both."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn, optim

from tenfold.errors import BadInput
from tenfold.storage import atomic

FORMAT: Final = 2  # raise it whenever the tensors change their names or their meaning
ABOUT: Final = "tenfold"


class Unusable(Exception):
    """A file can't be resumed from; the message says why, with the file as its subject: "is damaged"."""


@dataclass(frozen=True)
class Checkpoint:
    """What a stopped training needs to resume."""

    epochs_done: int
    tensors: dict[str, Tensor]

    @classmethod
    def of(
        cls, epochs_done: int, modules: Mapping[str, nn.Module], optimisers: Mapping[str, optim.Optimizer]
    ) -> Checkpoint:
        """The state of `modules` and `optimisers`, by name."""
        tensors: dict[str, Tensor] = {}
        for name, module in modules.items():
            tensors |= {f"{name}/{key}": value for key, value in module.state_dict().items()}
        for name, optimiser in optimisers.items():
            for index, state in optimiser.state_dict()["state"].items():
                tensors |= {f"{name}/{index}/{key}": torch.as_tensor(value) for key, value in state.items()}
        return cls(epochs_done, tensors)

    def fits(self, modules: Mapping[str, nn.Module]) -> bool:
        """Whether this holds exactly the tensors of `modules`, by name and shape."""
        return all(
            {key: value.shape for key, value in self._below(name).items()}
            == {key: value.shape for key, value in module.state_dict().items()}
            for name, module in modules.items()
        )

    def restore(self, modules: Mapping[str, nn.Module], optimisers: Mapping[str, optim.Optimizer]) -> None:
        """The inverse of `of`."""
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
    """Write it, complete or not at all."""
    tensors = {key: value.detach().to("cpu").contiguous().clone() for key, value in checkpoint.tensors.items()}
    # One entry: safetensors writes several in any order, and the same state must give the same bytes.
    hashed = _sha256(checkpoint.epochs_done, tensors)
    about = json.dumps({"format": FORMAT, "epochs_done": checkpoint.epochs_done, "sha256": hashed})
    atomic.write(path, safetensors.torch.save(tensors, {ABOUT: about}))


def load(path: Path) -> Checkpoint | None:
    """What `save` wrote, or None if there is no file. Raises Unusable for anything else."""
    try:
        data = path.read_bytes()  # here, since the library opens no path whose bytes are not UTF-8
        tensors = safetensors.torch.load(data)
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        about = json.loads(header.get("__metadata__", {}).get(ABOUT, "{}"))  # the first format had no such entry
        if about.get("format") != FORMAT:
            raise Unusable("was written by another version of tenfold")
        epochs_done = int(about["epochs_done"])
        if about["sha256"] != _sha256(epochs_done, tensors):
            raise Unusable("is damaged")
        return Checkpoint(epochs_done, tensors)
    except FileNotFoundError:
        return None
    except (SafetensorError, KeyError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise Unusable("is damaged") from error


def _sha256(epochs_done: int, tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256(str(epochs_done).encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        flat = tensor.contiguous().reshape(-1).view(torch.uint8)  # numpy has no bfloat16
        digest.update(flat.numpy().tobytes())
    return digest.hexdigest()


def require(path: Path, modules: Mapping[str, nn.Module]) -> Checkpoint:
    """As `load`. Raises BadInput where the file is missing, damaged, or does not fit `modules`."""
    try:
        state = load(path)
    except Unusable as reason:
        raise BadInput(f"{path}: {reason}; repeat the same `tenfold run`, which refits it") from reason
    if state is None:
        raise BadInput(f"{path}: is missing; repeat the same `tenfold run`, which refits it")
    if not state.fits(modules):
        raise BadInput(f"{path}: holds another net than its run's settings ask for; repeat the run with --fresh")
    return state
