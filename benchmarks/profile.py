"""Where a training step's time goes, and what share of the machine's matrix rate it reaches."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from benchmarks.throughput import ours
from torch import nn
from torch.profiler import ProfilerActivity
from torch.profiler import profile as profiler

from tenfold.models.classifier import Classifier
from tenfold.settings import Compute, Fit, Net, Settings
from tenfold.training.device import prepare_process, resolve

# An operator of torch's, by the first of these that its name contains.
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


def flops_per_image(channels: tuple[int, ...]) -> int:
    """Of a training step: twice the multiplications of the forward pass, three times over (forward, two gradients)."""
    total = 0

    def count(layer: nn.Module, _: object, out: torch.Tensor) -> None:
        nonlocal total
        weight = layer.weight
        assert isinstance(weight, torch.Tensor)
        total += 2 * weight.numel() * (out.shape[2] * out.shape[3] if out.ndim == 4 else 1)

    net = Classifier(Net(channels))
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.register_forward_hook(count)
    net.eval()(torch.zeros(1, 1, 28, 28))
    return 3 * total


def measure(channels: tuple[int, ...], threads: int, digits: int) -> dict[str, object]:
    """Throughput, matrix rates, the share reached, and each part's share of a step."""
    compute = resolve(Compute(workers=1, threads=threads), 1)
    prepare_process(compute)
    settings = Settings(net=Net(channels), fit=Fit(epochs=1), compute=compute)
    images = torch.randint(0, 256, (digits, 28, 28), dtype=torch.uint8)
    labels = torch.randint(0, 10, (digits,))
    epoch: Callable[[], None] = lambda: ours(settings, images, labels)  # noqa: E731
    epoch()
    started = time.perf_counter()
    epoch()
    per_second = digits / (time.perf_counter() - started)
    with profiler(activities=[ProfilerActivity.CPU]) as watched:
        epoch()
    spent: dict[str, float] = {}
    for event in watched.key_averages():
        part = next((part for name, part in PARTS.items() if name in event.key), "the rest")
        spent[part] = spent.get(part, 0.0) + event.self_cpu_time_total
    total = sum(spent.values())
    rates = {"fp32": matrix_rate(torch.float32, threads)}
    if compute.precision == "bf16":  # elsewhere it is emulated, and takes minutes
        rates["bf16"] = matrix_rate(torch.bfloat16, threads)
    reached = per_second * flops_per_image(channels) / 1e9
    return {
        "channels": list(channels),
        "precision": compute.precision,
        "threads": threads,
        "images_per_s": round(per_second),
        "gflops": round(reached),
        "matrix_gflops": {name: round(rate) for name, rate in rates.items()},
        "share_of_rate": round(reached / rates[compute.precision], 3),  # of the precision that trains
        "parts": {part: round(time / total, 3) for part, time in sorted(spent.items(), key=lambda entry: -entry[1])},
    }
