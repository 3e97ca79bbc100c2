"""Time from process start to 99.0 and 99.5 % accuracy on MNIST's 10,000 test digits, trained on its 60,000.

A child process does everything (imports, data, training, prediction) and prints an accuracy after each epoch; its
parent measures the time. Our recipe is fixed beforehand, and its last epoch counts.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from tenfold.errors import RunFailed

if TYPE_CHECKING:
    from tenfold.data.digits import Digits


@dataclass(frozen=True)
class Recipe:
    """Our settings that reach a target."""

    target: float
    channels: tuple[int, ...]
    digits: int  # the first ones of the 60,000
    epochs: int
    tta_shift_px: int
    warp: float  # as a share of the default warps' ranges


RECIPES: Final = {
    "ours-99.0": Recipe(0.990, (16, 32, 48, 64), 30_000, 1, 0, 0.3),
    "ours-99.5": Recipe(0.995, (16, 32, 48, 64, 96), 60_000, 4, 1, 0.8),
}


def measure(name: str, seed: int, data: Path, epochs: int | None) -> dict[str, Any]:
    """Run one training in its own process: seconds since its start, and accuracy, after each epoch."""
    command = [sys.executable, "-m", "benchmarks.reach", name, str(seed), str(data.resolve()), str(epochs or 0)]
    started = time.perf_counter()
    curve = []
    with subprocess.Popen(command, cwd=Path(__file__).parents[1], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout
        for line in child.stdout:
            curve.append((round(time.perf_counter() - started, 2), json.loads(line)))
    if child.returncode or not curve:
        raise RunFailed(f"{name}, seed {seed}: ended with code {child.returncode}")
    return {"name": name, "seed": seed, "seconds": [entry[0] for entry in curve], "accuracy": [e[1] for e in curve]}


def _child(name: str, seed: int, data: Path, epochs: int) -> None:
    from dataclasses import replace

    import torch
    from benchmarks.references import REFERENCES, accuracy, trained

    from tenfold.sources import mnist

    train, test = mnist.load(data, download=True)
    if name in RECIPES:
        print(json.dumps(ours(RECIPES[name], seed, train, test)), flush=True)
        return
    reference = REFERENCES[name]
    if epochs:  # only the first epochs, with the learning rates of the whole training
        reference = replace(reference, epochs=min(epochs, reference.epochs))
    images, labels = torch.from_numpy(train.images), torch.from_numpy(train.known_labels())
    test_images, test_labels = torch.from_numpy(test.images), torch.from_numpy(test.known_labels())
    for net in trained(reference, images, labels, seed):
        print(json.dumps(round(accuracy(net, test_images, test_labels), 5)), flush=True)


def ours(recipe: Recipe, seed: int, train: Digits, test: Digits) -> float:
    """The accuracy of a recipe on the test digits."""
    from tenfold.models.inference import for_inference
    from tenfold.seeds import SeedStream
    from tenfold.settings import Compute, Fit, Net, Warp
    from tenfold.studies.plain_loop import accuracy
    from tenfold.studies.reference_net import train_classifier
    from tenfold.training.device import prepare_process, resolve

    full = Warp()
    names = ("rotation_deg", "shear_deg", "scale", "shift_px")
    warp = Warp(**{name: recipe.warp * getattr(full, name) for name in names})
    net, fit = Net(recipe.channels, recipe.tta_shift_px), Fit(epochs=recipe.epochs, epoch_images=1)
    compute = resolve(Compute(workers=1), 1)
    prepare_process(compute)
    trained = train_classifier(train.take(np.arange(recipe.digits)), fit, compute, SeedStream(seed, 0), net, warp)
    return round(accuracy(for_inference(trained, net), test), 5)


if __name__ == "__main__":
    _child(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]))
