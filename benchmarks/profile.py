"""Where a training step's time goes, and its share of the machine's matrix multiplication rate."""

from __future__ import annotations

import time

import torch
from benchmarks.throughput import ours, random_digits
from torch import nn
from torch.profiler import ProfilerActivity
from torch.profiler import profile as profiler
from torch.utils.flop_counter import FlopCounterMode

from tenfold.models.classifier import Classifier
from tenfold.settings import Compute, Net
from tenfold.training.device import prepare_process, resolve

# The part that an operator of torch belongs to, by the first of these that its name contains.
PARTS = {
    "convolution": "convolutions",
    "batch_norm": "BatchNorm",
    "grid_sampl": "warps",
    "affine_grid": "warps",
    "threshold": "ReLU",
    "clamp_min": "ReLU",
    "relu": "ReLU",
    "pool": "pooling",
    "amax": "pooling",
    "_to_copy": "casts and copies",
    "copy_": "casts and copies",
    "lerp": "moving average and momentum",
    "mm": "Muon's matrices and the head",
}


def matrix_rate(dtype: torch.dtype, threads: int, side: int = 2048, seconds: float = 2.0) -> float:
    """The best rate of a square matrix product, in GFLOP/s."""
    torch.set_num_threads(threads)
    a, b = torch.randn(side, side).to(dtype), torch.randn(side, side).to(dtype)
    best, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end:
        started = time.perf_counter()
        a @ b
        best = min(best, time.perf_counter() - started)
    return 2 * side**3 / best / 1e9


def flops_per_image(net: nn.Module) -> int:
    """Of a training step: multiplications and additions of the forward pass, times three (forward, two gradients)."""
    with FlopCounterMode(display=False) as counter:
        net.eval()(torch.zeros(1, 1, 28, 28))
    return 3 * counter.get_total_flops()


def measure(channels: tuple[int, ...], threads: int, n: int) -> dict[str, object]:
    """Images per second, matrix rates, the share reached, and each part's share of a step."""
    compute = resolve(Compute(workers=1, threads=threads), 1)
    prepare_process(compute)
    net, digits = Net(channels), random_digits(n)
    ours(net, digits, compute)
    started = time.perf_counter()
    ours(net, digits, compute)
    per_second = n / (time.perf_counter() - started)
    with profiler(activities=[ProfilerActivity.CPU]) as watched:
        ours(net, digits, compute)
    spent: dict[str, float] = {}
    for event in watched.key_averages():
        part = next((part for name, part in PARTS.items() if name in event.key), "the rest")
        spent[part] = spent.get(part, 0.0) + event.self_cpu_time_total
    total = sum(spent.values())
    rates = {"fp32": matrix_rate(torch.float32, threads)}
    if compute.precision == "bf16":  # elsewhere it is emulated, which takes minutes
        rates["bf16"] = matrix_rate(torch.bfloat16, threads)
    reached = per_second * flops_per_image(Classifier(net)) / 1e9
    return {
        "channels": list(channels),
        "precision": compute.precision,
        "threads": threads,
        "images_per_s": round(per_second),
        "gflops": round(reached),
        "matrix_gflops": {name: round(rate) for name, rate in rates.items()},
        "share_of_rate": round(reached / rates[compute.precision], 3),  # in the precision of training
        "parts": {part: round(time / total, 3) for part, time in sorted(spent.items(), key=lambda entry: -entry[1])},
    }
