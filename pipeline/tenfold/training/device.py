"""What a run computes on: device, precision, number of processes and threads."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Final

import torch

from tenfold.errors import BadInput
from tenfold.settings import Compute, Device

WORKERS_ON_CUDA: Final = 4  # one such small net waits for kernel launches rather than for the card; not measured yet


def resolve(compute: Compute, tasks: int) -> Compute:
    """`compute` with every "auto" and 0 replaced by what this machine has, for `tasks` tasks side by side.

    Raises BadInput where something requested by name is missing.
    """
    device = _device(compute.device)
    precision = compute.precision
    if precision == "auto":
        precision = "bf16" if multiplies_bf16(device) else "fp32"
    elif precision == "bf16" and not multiplies_bf16(device):
        raise BadInput(f"precision: this {device} does not multiply bf16 natively; use fp32 or auto")
    cores = _cores()
    workers = compute.workers or min(cores, tasks, {"cpu": cores, "cuda": WORKERS_ON_CUDA, "mps": 1}[device])
    threads = compute.threads or max(1, cores // workers)
    return replace(compute, device=device, precision=precision, workers=workers, threads=threads)


def multiplies_bf16(device: str) -> bool:
    """Whether the hardware multiplies bf16 natively; emulation is slower than fp32."""
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
    """Set this process's threads and reproducible algorithms; return the device."""
    torch.set_num_threads(compute.threads)
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.allow_tf32 = False  # predictions are fp32, as the exported model gives them
    return torch.device(compute.device)


def _device(requested: Device) -> Device:
    available: dict[Device, bool] = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if requested == "auto":
        return next(name for name, present in available.items() if present)
    if not available[requested]:
        raise BadInput(f"device: {requested} is not available (this torch sees none); use auto")
    return requested


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
