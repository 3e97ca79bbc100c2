"""How long from process start to 99.0 and 99.5 % on MNIST's 10,000 test digits, trained on its 60,000.

A child process does the whole of it (imports, data, training, answering) and prints an accuracy after each
epoch; its parent reads the clock. Ours is a recipe fixed beforehand, and its last epoch is what counts.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tenfold.errors import RunFailed


@dataclass(frozen=True)
class Recipe:
    """Settings of ours that reach a target."""

    target: float
    channels: tuple[int, ...]
    digits: int  # of the 60,000, the first so many
    epochs: int
    tta_shift_px: int
    warp: float  # share of the default warps' ranges


RECIPES: Final = {
    "ours-99.0": Recipe(0.990, (16, 32, 48, 64), 30_000, 1, 0, 0.3),
    "ours-99.5": Recipe(0.995, (16, 32, 48, 64, 96), 60_000, 4, 1, 0.8),
}


def measure(name: str, seed: int, data: Path, epochs: int | None) -> dict[str, Any]:
    """Run one training in a process of its own; seconds since its start and accuracy, after each epoch."""
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
    images, labels = torch.from_numpy(train.images), torch.from_numpy(train.known_labels())
    if name in RECIPES:
        print(json.dumps(_ours(RECIPES[name], seed, images, labels, test)), flush=True)
        return
    reference = REFERENCES[name]
    if epochs:  # a training cut short; its rates are those of the whole one
        reference = replace(reference, epochs=min(epochs, reference.epochs))
    test_images, test_labels = torch.from_numpy(test.images), torch.from_numpy(test.known_labels())
    for net in trained(reference, images, labels, seed):
        print(json.dumps(round(accuracy(net, test_images, test_labels), 5)), flush=True)


def _ours(recipe: Recipe, seed: int, images: Any, labels: Any, test: Any) -> float:
    from tenfold.data.batches import Expansion
    from tenfold.models.inference import for_inference, probabilities
    from tenfold.seeds import SeedStream
    from tenfold.settings import Compute, Fit, Net, Settings, Warp
    from tenfold.training.device import prepare_process, resolve
    from tenfold.training.fit_classifier import fit_classifier

    full = Warp()
    names = ("rotation_deg", "shear_deg", "scale", "shift_px")
    warp = Warp(**{name: recipe.warp * getattr(full, name) for name in names})
    settings = Settings(
        seed=seed,
        net=Net(recipe.channels, recipe.tta_shift_px),
        warp=warp,
        fit=Fit(epochs=recipe.epochs),
        compute=resolve(Compute(workers=1), 1),
    )
    device = prepare_process(settings.compute)
    few = slice(recipe.digits)
    expansion = Expansion(images[few].to(device), labels[few].to(device), warp, settings.fit.batch_size, 1)
    net = fit_classifier(expansion, settings, SeedStream(seed, 0), None, lambda *_: None)
    said = probabilities(for_inference(net, settings.net), test.images, device).argmax(1)
    return round(float((said == test.known_labels()).mean()), 5)


if __name__ == "__main__":
    _child(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]))
