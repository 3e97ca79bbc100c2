"""Training throughput of our loop and of a plain fp32 one with the same net, in turns within one process."""

from __future__ import annotations

import statistics
import time
from typing import Final

import numpy as np
import torch
import torch.nn.functional as F
from torch import optim

from tenfold.data.digits import Digits
from tenfold.models.classifier import Classifier
from tenfold.seeds import SeedStream
from tenfold.settings import Compute, Fit, Net
from tenfold.studies.reference_net import train_classifier
from tenfold.training.device import prepare_process, resolve

FIT: Final = Fit(epochs=1)


def random_digits(n: int) -> Digits:
    """Random images with random labels."""
    rng = np.random.default_rng(0)
    return Digits.of("random", rng.integers(0, 256, (n, 28, 28), dtype=np.uint8), rng.integers(0, 10, n))


def ours(net: Net, digits: Digits, compute: Compute) -> None:
    """One epoch as in a run: warps, Muon, moving average, the processor's best precision."""
    train_classifier(digits, FIT, compute, SeedStream(0, 0), net)


def plain(settings: Net, digits: Digits, compute: Compute) -> None:
    """One epoch as in a tutorial: fp32, AdamW, tensors in memory; no warps, no average."""
    images, labels = torch.from_numpy(digits.images), torch.from_numpy(digits.known_labels())
    net = Classifier(settings)
    optimiser = optim.AdamW(net.parameters(), lr=1e-3)
    for index in torch.randperm(len(images)).split(FIT.batch_size):
        optimiser.zero_grad(set_to_none=True)
        F.cross_entropy(net(images[index].unsqueeze(1).float().div(255)), labels[index]).backward()
        optimiser.step()


def measure(channels: tuple[int, ...], threads: int, n: int, rounds: int) -> dict[str, object]:
    """Images per second of both, the median of `rounds`, and the ratio within each round."""
    compute = resolve(Compute(workers=1, threads=threads), 1)
    prepare_process(compute)
    net, digits = Net(channels), random_digits(n)
    speeds: dict[str, list[float]] = {"ours": [], "plain": []}
    for _ in range(rounds + 1):
        for name, loop in (("ours", ours), ("plain", plain)):
            started = time.perf_counter()
            loop(net, digits, compute)
            speeds[name].append(n / (time.perf_counter() - started))
    warm = {name: values[1:] for name, values in speeds.items()}  # the first round warms up
    ratios = [a / b for a, b in zip(warm["ours"], warm["plain"], strict=True)]
    return {
        "channels": list(channels),
        "precision": compute.precision,
        "threads": threads,
        "rounds": rounds,
        **{f"{name}_per_s": round(statistics.median(values)) for name, values in warm.items()},
        "ratio": round(statistics.median(ratios), 2),
        "ratio_range": [round(min(ratios), 2), round(max(ratios), 2)],
    }
