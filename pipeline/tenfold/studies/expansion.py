"""What helps as augmentation, and what harms: shifts, quarter turns, rotations, warps, generated digits."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, optim

from tenfold.models.classifier import Classifier
from tenfold.seeds import SeedStream
from tenfold.settings import Cgan, Net, Warp
from tenfold.studies.cells import Material, Measurement
from tenfold.studies.plain_loop import Augment, predicted, rise_and_fall, train, warping
from tenfold.studies.reference_net import train_generator
from tenfold.studies.study import Study, error_bars
from tenfold.studies.table import COUNT, DECIMAL, Table

EPOCHS: Final = 8
GENERATOR_EPOCHS: Final = 4
NONE, GRID, TURNS, ROTATIONS = "none", "77 shifts", "quarter turns", "rotations to 12°"
WARPS, ELASTIC, GENERATED = "all warps", "all warps, elastic 1 px", "a third generated"
DOWN_PX, RIGHT_PX = 5, 3  # either way: a window of 21x17 moved over 11x7 positions, as rows and columns of an array
NO_WARP: Final = Warp(rotation_deg=0, shear_deg=0, scale=0, shift_px=0)
WARPED: Final = {
    ROTATIONS: replace(NO_WARP, rotation_deg=12),
    WARPS: Warp(),
    ELASTIC: Warp(elastic_px=1),
}


def cells(quick: bool) -> list[str]:
    """Every kind of augmentation."""
    return [NONE, TURNS, GENERATED] if quick else [NONE, GRID, TURNS, *WARPED, GENERATED]


def shifted(images: Tensor, labels: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Each image moved to one of the 77 positions, by whole pixels, and filled up with background."""
    n, _, height, width = images.shape
    padded = F.pad(images, (RIGHT_PX, RIGHT_PX, DOWN_PX, DOWN_PX))
    rows = torch.randint(2 * DOWN_PX + 1, (n, 1), generator=rng) + torch.arange(height)
    columns = torch.randint(2 * RIGHT_PX + 1, (n, 1), generator=rng) + torch.arange(width)
    return padded[torch.arange(n)[:, None, None], 0, rows[:, :, None], columns[:, None, :]].unsqueeze(1), labels


def turned(images: Tensor, labels: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Each image turned by 0, 90, 180 or 270 degrees, with its label unchanged."""
    quarters = torch.randint(4, (len(images),), generator=rng)
    out = torch.empty_like(images)
    for quarter in range(4):
        out[quarters == quarter] = images[quarters == quarter].rot90(quarter, (2, 3))
    return out, labels


def measure(cell: str, seed: int, material: Material) -> list[Measurement]:
    """Test accuracy, and that on sixes and nines alone."""
    torch.manual_seed(seed)
    net = Classifier(Net())
    optimiser = optim.AdamW(net.parameters(), lr=0.003, weight_decay=0.02)
    augment, epochs = _augmentation(cell, seed, material), 1 if material.quick else EPOCHS
    train(net, optimiser, material.train, epochs, seed, material.compute, augment, rise_and_fall)
    labels = material.test.known_labels()
    right = predicted(net, material.test.images) == labels
    on_6_and_9 = right[np.isin(labels, (6, 9))]
    return [Measurement(cell, {"accuracy": float(right.mean()), "on 6 and 9": float(on_6_and_9.mean())})]


def _augmentation(cell: str, seed: int, material: Material) -> Augment | None:
    if cell in WARPED:
        return warping(WARPED[cell])
    return _generating(seed, material) if cell == GENERATED else {NONE: None, GRID: shifted, TURNS: turned}[cell]


def _generating(seed: int, material: Material) -> Augment:
    """A third of each batch replaced by digits of a generator trained on the same rows."""
    cgan = Cgan(epochs=1, epoch_images=256) if material.quick else Cgan(epochs=GENERATOR_EPOCHS)
    sample = train_generator(material.train, cgan, material.compute, SeedStream(seed, 0)).sample

    def augment(images: Tensor, labels: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        n = len(images) // 3
        requested = torch.randint(10, (n,), generator=rng)
        generated = sample(requested, rng).unsqueeze(1).float().div(255)
        return torch.cat([images[n:], generated]), torch.cat([labels[n:], requested])

    return augment


def verdict(table: Table) -> str:
    """Which help, which harm, and what quarter turns do to sixes and nines."""
    changes = [f"{name} {table.points(name, NONE, 'accuracy')}" for name in table.names() if name != NONE]
    turns, alone = table.mean(TURNS, "on 6 and 9"), table.mean(NONE, "on 6 and 9")
    return (
        f"Changes in points, compared with no augmentation ({100 * table.mean(NONE, 'accuracy'):.2f} %): "
        f"{'; '.join(changes)}. Quarter turns, which make sixes and nines alike, lower the accuracy on these two from "
        f"{100 * alone:.2f} to {100 * turns:.2f} %."
    )


STUDY: Final = Study(
    name="expansion",
    title="Which augmentation helps?",
    claim=(
        "77 copies of every digit, its 21×17 window moved over 7×11 positions, help; so do copies of every digit "
        "turned by 90°, which give four times the data"
    ),
    source="[posyd0moika/NeuralNetwork_MNIST](https://github.com/posyd0moika/NeuralNetwork_MNIST)",
    protocol=(
        f"Our small net, {EPOCHS} epochs of AdamW (learning rate 0.003, warm-up over 15 %, then linear decay to 0) on "
        "the 42,000 training rows. Augmentation is drawn anew for every batch, so every net sees as many digits, and "
        f"the grid of shifts is sampled rather than stored. The generator is trained for {GENERATOR_EPOCHS} epochs on "
        "the same rows. Limited by time: few epochs, so a gain that needs longer training does not show."
    ),
    columns={"accuracy": DECIMAL, "on 6 and 9": DECIMAL, "core-seconds": COUNT},
    cells=cells,
    measure=measure,
    plot=error_bars,
    verdict=verdict,
)
