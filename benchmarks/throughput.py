"""Training throughput of our loop against a plain fp32 one with the same net, in turns within one process."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, optim

from tenfold.data.batches import Expansion
from tenfold.models.classifier import Classifier
from tenfold.seeds import SeedStream
from tenfold.settings import Compute, Fit, Net, Settings
from tenfold.training.device import prepare_process, resolve
from tenfold.training.fit_classifier import fit_classifier


def ours(settings: Settings, images: Tensor, labels: Tensor) -> None:
    """One epoch as a run has it: warps, Muon, moving average, the processor's best precision."""
    fit = settings.fit
    expansion = Expansion(images, labels, settings.warp, fit.batch_size, fit.epoch_images)
    fit_classifier(expansion, settings, SeedStream(0, 0), None, lambda *_: None)


def plain(settings: Settings, images: Tensor, labels: Tensor) -> None:
    """One epoch as a tutorial has it: fp32, AdamW, tensors in memory; no warps, no average."""
    net = Classifier(settings.net)
    optimiser = optim.AdamW(net.parameters(), lr=1e-3)
    for index in torch.randperm(len(images)).split(settings.fit.batch_size):
        optimiser.zero_grad(set_to_none=True)
        F.cross_entropy(net(images[index].unsqueeze(1).float().div(255)), labels[index]).backward()
        optimiser.step()


def measure(channels: tuple[int, ...], threads: int, digits: int, rounds: int) -> dict[str, object]:
    """Images a second of both, the median of `rounds`, and the ratio within each round."""
    compute = resolve(Compute(workers=1, threads=threads), 1)
    prepare_process(compute)
    settings = Settings(net=Net(channels), fit=Fit(epochs=1), compute=compute)
    draws = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (digits, 28, 28), dtype=torch.uint8, generator=draws)
    labels = torch.randint(0, 10, (digits,), generator=draws)
    speeds: dict[str, list[float]] = {"ours": [], "plain": []}
    loops: dict[str, Callable[[Settings, Tensor, Tensor], None]] = {"ours": ours, "plain": plain}
    for _ in range(rounds + 1):
        for name, loop in loops.items():
            started = time.perf_counter()
            loop(settings, images, labels)
            speeds[name].append(digits / (time.perf_counter() - started))
    warm = {name: values[1:] for name, values in speeds.items()}  # the first round warms caches up
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
