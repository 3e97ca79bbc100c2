"""What a run computes on: devices, precision, and how many processes with how many threads."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Final

import torch

from tenfold.errors import BadInput
from tenfold.settings import Compute, Device

SIDE_BY_SIDE_ON_CUDA: Final = 4  # one such small net waits for its launches rather than for the card; not measured yet


def resolve(compute: Compute, tasks: int) -> Compute:
    """`compute` with every "auto" and 0 replaced by what this machine has, for `tasks` tasks side by side.

    Raises BadInput where something asked for by name is not there.
    """
    device = _device(compute.device)
    precision = compute.precision
    if precision == "auto":
        precision = "bf16" if multiplies_bf16(device) else "fp32"
    elif precision == "bf16" and not multiplies_bf16(device):
        raise BadInput(f"precision: bf16 is not there (this {device} does not multiply it); ask for fp32 or auto")
    cores = _cores()
    workers = compute.workers or min(cores, tasks, {"cpu": cores, "cuda": SIDE_BY_SIDE_ON_CUDA, "mps": 1}[device])
    threads = compute.threads or max(1, cores // workers)
    return replace(compute, device=device, precision=precision, workers=workers, threads=threads)


def multiplies_bf16(device: str) -> bool:
    """Whether bf16 is multiplied natively; emulation is slower than fp32."""
    if device == "cuda":
        return torch.cuda.get_device_capability() >= (8, 0)
    if device == "cpu" and hasattr(torch.cpu, "get_capabilities"):
        capabilities = torch.cpu.get_capabilities()
        return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16") or capabilities.get("bf16"))
    return False


def autocast(compute: Compute) -> AbstractContextManager[object]:
    """The precision of training as a context."""
    if compute.precision == "bf16":
        return torch.autocast(compute.device, torch.bfloat16)
    return nullcontext()


def prepare_process(compute: Compute) -> torch.device:
    """Set this process's threads and reproducible algorithms, and give the device."""
    torch.set_num_threads(compute.threads)
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.allow_tf32 = False  # answers are fp32, as the exported model gives them
    return torch.device(compute.device)


def _device(asked: Device) -> Device:
    there: dict[Device, bool] = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if asked == "auto":
        return next(name for name, present in there.items() if present)
    if not there[asked]:
        raise BadInput(f"device: {asked} is not there (this torch sees none); ask for auto")
    return asked


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
