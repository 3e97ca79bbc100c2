"""What widens a training set, and what spoils it: shifts, quarter turns, rotations, warps, generated digits."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
import torch
import torch.nn.functional as F
from markupsafe import Markup
from torch import Tensor, optim

from tenfold.models.classifier import Classifier
from tenfold.models.inference import sampler
from tenfold.report import figures
from tenfold.seeds import SeedStream
from tenfold.settings import Cgan, Net, Settings, Warp
from tenfold.studies.plain_loop import Widen, answers, rise_and_fall, train, warping
from tenfold.studies.study import Material, Measured, Study
from tenfold.studies.table import Table
from tenfold.training.fit_generator import fit_generator

EPOCHS: Final = 8
GENERATOR_EPOCHS: Final = 4
NONE, GRID, TURNS, ROTATIONS = "none", "77 shifts", "quarter turns", "rotations to 12°"
WARPS, ELASTIC, GENERATED = "all warps", "all warps, elastic 1 px", "a third generated"
DOWN_PX, RIGHT_PX = 5, 3  # either way: a window of 21x17 moved over 11x7 places, as rows and columns of an array
STILL: Final = Warp(rotation_deg=0, shear_deg=0, scale=0, shift_px=0)
WARPED: Final = {
    ROTATIONS: replace(STILL, rotation_deg=12),
    WARPS: Warp(),
    ELASTIC: Warp(elastic_px=1),
}


def cells(quick: bool) -> list[str]:
    """Every way of widening."""
    return [NONE, TURNS, GENERATED] if quick else [NONE, GRID, TURNS, *WARPED, GENERATED]


def shifted(batch: Tensor, labels: Tensor, draws: torch.Generator) -> tuple[Tensor, Tensor]:
    """Each image moved to one of the 77 places, by whole pixels; what comes in is background."""
    n, _, height, width = batch.shape
    padded = F.pad(batch, (RIGHT_PX, RIGHT_PX, DOWN_PX, DOWN_PX))
    rows = torch.randint(2 * DOWN_PX + 1, (n, 1), generator=draws) + torch.arange(height)
    columns = torch.randint(2 * RIGHT_PX + 1, (n, 1), generator=draws) + torch.arange(width)
    return padded[torch.arange(n)[:, None, None], 0, rows[:, :, None], columns[:, None, :]].unsqueeze(1), labels


def turned(batch: Tensor, labels: Tensor, draws: torch.Generator) -> tuple[Tensor, Tensor]:
    """Each image by 0, 90, 180 or 270 degrees, its label left as it is."""
    quarters = torch.randint(4, (len(batch),), generator=draws)
    out = torch.empty_like(batch)
    for quarter in range(4):
        out[quarters == quarter] = batch[quarters == quarter].rot90(quarter, (2, 3))
    return out, labels


def measure(cell: str, seed: int, its: Material) -> list[Measured]:
    """Test accuracy, and that on sixes and nines alone."""
    torch.manual_seed(seed)
    net = Classifier(Net())
    optimiser = optim.AdamW(net.parameters(), lr=0.003, weight_decay=0.02)
    images, labels = its.train.images, its.train.known_labels()
    widen, epochs = _widening(cell, seed, its), 1 if its.quick else EPOCHS
    train(net, optimiser, images, labels, epochs, seed, its.compute, widen, rise_and_fall)
    key = its.test.known_labels()
    right = answers(net, its.test.images) == key
    return [
        Measured(cell, {"accuracy": float(right.mean()), "on 6 and 9": float(right[np.isin(key, (6, 9))].mean())}),
    ]


def _widening(cell: str, seed: int, its: Material) -> Widen | None:
    if cell in WARPED:
        return warping(WARPED[cell])
    return _generating(seed, its) if cell == GENERATED else {NONE: None, GRID: shifted, TURNS: turned}[cell]


def _generating(seed: int, its: Material) -> Widen:
    """A third of a batch replaced by digits of a generator that was fitted on the same rows."""
    cgan = Cgan(epochs=1, epoch_images=256) if its.quick else Cgan(epochs=GENERATOR_EPOCHS)
    settings = Settings(seed=seed, cgan=cgan, compute=its.compute)
    images, labels = torch.from_numpy(its.train.images), torch.from_numpy(its.train.known_labels())
    generator = fit_generator(images, labels, settings, SeedStream(seed, 0), None, lambda *_: None)
    sample = sampler(generator, cgan.z_dim)

    def widen(batch: Tensor, labels: Tensor, draws: torch.Generator) -> tuple[Tensor, Tensor]:
        n = len(batch) // 3
        asked = torch.randint(10, (n,), generator=draws)
        made = sample(asked, draws).unsqueeze(1).float().div(255)
        return torch.cat([batch[n:], made]), torch.cat([labels[n:], asked])

    return widen


def plot(table: Table) -> Markup:
    """Test error by way of widening."""
    return figures.bars({name: table.error(name, "accuracy") for name in table.names()}, "test error, %")


def verdict(table: Table) -> str:
    """Which help, which harm, and what quarter turns do to sixes and nines."""
    changes = [f"{name} {table.points(name, NONE, 'accuracy')}" for name in table.names() if name != NONE]
    turns, alone = table.mean(TURNS, "on 6 and 9"), table.mean(NONE, "on 6 and 9")
    return (
        f"Against no widening ({100 * table.mean(NONE, 'accuracy'):.2f} % right), in points: {'; '.join(changes)}. "
        f"Quarter turns, which make sixes and nines alike, take the accuracy on these two from {100 * alone:.2f} to "
        f"{100 * turns:.2f} %."
    )


STUDY: Final = Study(
    name="expansion",
    title="What widens a training set?",
    claim=(
        "77 copies of every digit, its 21×17 window moved over 7×11 places, help; and so do copies of every digit "
        "turned by 90°, which make four times the data"
    ),
    source="[posyd0moika/NeuralNetwork_MNIST](https://github.com/posyd0moika/NeuralNetwork_MNIST)",
    protocol=(
        f"Our small net, {EPOCHS} epochs of AdamW (rate 0.003, up over 15 % and down to 0) on the 42,000 training "
        "rows. Whatever widens is drawn anew for every batch, so every net is shown as many digits, and the grid of "
        f"shifts is sampled rather than stored. The generator is fitted for {GENERATOR_EPOCHS} epochs on the same "
        "rows. Cut for the time: epochs, so a gain that takes a longer training does not show."
    ),
    columns=("accuracy", "on 6 and 9", "core-seconds"),
    cells=cells,
    measure=measure,
    plot=plot,
    verdict=verdict,
)
