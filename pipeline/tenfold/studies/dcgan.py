"""A shallow unconditional DCGAN as it was described, with its two learning rates: when it stops getting better."""

from __future__ import annotations

from math import sqrt
from statistics import mean, stdev
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from markupsafe import Markup
from torch import Tensor, nn, optim

from tenfold.evaluation import generator_quality
from tenfold.models.inference import features
from tenfold.report import figures, networks
from tenfold.studies.reference_net import reference_net
from tenfold.studies.study import Material, Measured, Study
from tenfold.studies.table import Table
from tenfold.training.device import autocast
from tenfold_onnx.images import film_gif, sheet_png

Z_DIM: Final = 100
POINTS: Final = 10  # of the training that are looked at
STEPS: Final = 1050  # from one point to the next: four epochs of 42,000 digits in all
BATCH: Final = 16
READER_EPOCHS: Final = 4
COMPARED: Final = 2000  # digits
FRAME_MS: Final = 400
FLOOR: Final = "real digits"
DISTANCE: Final = "Fréchet distance"
SHEET, FILM, NETWORKS, DIAGRAM = "dcgan-digits.png", "dcgan.gif", "dcgan-networks.md", "dcgan-networks.svg"


class Generator(nn.Module):
    """z float (N, 100) in [-1, 1] to images float (N, 1, 28, 28) in [-1, 1], of which what is below 0 is background."""

    def __init__(self) -> None:
        super().__init__()

        def up(inner: int, outer: int, size: int, stride: int) -> nn.ConvTranspose2d:
            return nn.ConvTranspose2d(inner, outer, size, stride, size // 2, output_padding=stride - 1)

        self.layers = nn.Sequential(
            *(nn.Linear(Z_DIM, 64 * 7 * 7), nn.Unflatten(1, (64, 7, 7))),
            *(up(64, 64, 3, 1), nn.LeakyReLU(0.2), up(64, 64, 5, 2)),
            *(up(64, 32, 5, 2), nn.LeakyReLU(0.2), up(32, 32, 3, 1), nn.ReLU()),
            *(up(32, 1, 3, 1), nn.Tanh()),
        )
        self.apply(_begin)

    def forward(self, z: Tensor) -> Tensor:
        """Images."""
        images: Tensor = self.layers(z)
        return images


class Discriminator(nn.Module):
    """Images float (N, 1, 28, 28) to scores (N, 2) in [-1, 1]: of being generated, of being real."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *(nn.Conv2d(1, 32, 3, padding=1), nn.Conv2d(32, 64, 5, 2, 2)),
            *(nn.Conv2d(64, 64, 5, 2, 2), nn.LeakyReLU(0.2), nn.Conv2d(64, 128, 3, padding=1), nn.LeakyReLU(0.2)),
            *(nn.Flatten(), nn.Linear(128 * 7 * 7, 100), nn.Linear(100, 2), nn.Tanh()),
        )
        self.apply(_begin)

    def forward(self, images: Tensor) -> Tensor:
        """Scores."""
        scores: Tensor = self.layers(images)
        return scores


def _begin(layer: nn.Module) -> None:
    """Glorot's initial weights, the default where this pair was made; with torch's own it never learns."""
    if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
        nn.init.xavier_uniform_(layer.weight)
        nn.init.zeros_(layer.bias)  # type: ignore[arg-type]


def cells(quick: bool) -> list[str]:
    """One training."""
    return ["shallow DCGAN"]


def measure(cell: str, seed: int, its: Material) -> list[Measured]:
    """Fréchet distance at each point of the training, and digits always of the same z."""
    images, device = torch.from_numpy(its.train.images), torch.device("cpu")
    net = reference_net(its, READER_EPOCHS)
    n = min(COMPARED, len(its.test) // 2)
    seen, others = (features(net, part, device) for part in (its.test.images[:n], its.test.images[n : 2 * n]))
    torch.manual_seed(seed)
    generator = Generator().to(memory_format=torch.channels_last)
    discriminator = Discriminator().to(memory_format=torch.channels_last)
    optimiser_g = optim.Adam(generator.parameters(), lr=3.3e-4, betas=(0.55, 0.999))
    optimiser_d = optim.Adam(discriminator.parameters(), lr=2e-4, betas=(0.4, 0.999))
    draws = torch.Generator().manual_seed(seed)
    fixed = _noise(n, draws)
    kinds = torch.cat([torch.ones(BATCH), torch.zeros(BATCH)]).long()
    steps = 2 if its.quick else STEPS
    rows, digits = [], []
    for point in range(1, POINTS + 1):
        for _ in range(steps):
            index = torch.randint(len(images), (BATCH,), generator=draws)
            real = images[index].unsqueeze(1).float().div_(255)
            with autocast(its.compute):
                made = generator(_noise(BATCH, draws))
                said = discriminator(torch.cat([real, made])).float()
            optimiser_d.zero_grad(set_to_none=True)
            optimiser_g.zero_grad(set_to_none=True)
            loss_d, loss_g = F.cross_entropy(said, kinds), F.cross_entropy(said[BATCH:], kinds[:BATCH])
            loss_d.backward(inputs=list(discriminator.parameters()), retain_graph=True)
            loss_g.backward(inputs=list(generator.parameters()))
            optimiser_d.step()
            optimiser_g.step()
        digits.append(_drawn(generator, fixed))
        distance = generator_quality.frechet(seen, features(net, digits[-1], device))
        rows.append(Measured(_row(point), {"steps": steps * point, DISTANCE: distance}))
    files = _pictures(digits) if seed == 0 else {}
    return [*rows, Measured(FLOOR, {DISTANCE: generator_quality.frechet(seen, others)}, files)]


def _row(point: int) -> str:
    return f"{point} of {POINTS}"


def _noise(n: int, draws: torch.Generator) -> Tensor:
    return torch.rand(n, Z_DIM, generator=draws) * 2 - 1


@torch.inference_mode()
def _drawn(generator: Generator, z: Tensor) -> npt.NDArray[np.uint8]:
    parts = [generator(part).squeeze(1).clamp(0, 1).mul(255).round().to(torch.uint8) for part in z.split(500)]
    return torch.cat(parts).numpy()


def _pictures(digits: list[npt.NDArray[np.uint8]]) -> dict[str, bytes]:
    nets = {
        f"z: {Z_DIM}": networks.layers(Generator(), torch.zeros(1, Z_DIM)),
        "image: 1×28×28": networks.layers(Discriminator(), torch.zeros(1, 1, 28, 28)),
    }
    return {
        SHEET: sheet_png(np.concatenate([part[:20] for part in digits]), 20),
        FILM: film_gif([sheet_png(part[:100], 10) for part in digits], FRAME_MS),
        NETWORKS: networks.summary(dict(zip(("generator", "discriminator"), nets.values(), strict=True))).encode(),
        DIAGRAM: figures.alone(networks.side_by_side(nets)),
    }


def plot(table: Table) -> Markup:
    """Fréchet distance through training, a line a seed."""
    lines: dict[str, list[tuple[float, float]]] = {}
    for row in table.rows:
        if row["row"] != FLOOR:
            lines.setdefault(f"seed {row['seed']}", []).append((row["steps"], row[DISTANCE]))
    return figures.courses(lines, "steps", DISTANCE, (FLOOR, table.mean(FLOOR, DISTANCE)))


def verdict(table: Table) -> str:
    """When it stops getting better: from where on the end is within two standard errors, paired by seed."""
    points = [_row(point) for point in range(1, POINTS + 1)]
    last, best = points[-1], min(points, key=lambda row: table.mean(row, DISTANCE))
    course = {row: (f"{table.mean(row, 'steps'):,.0f}", f"{table.mean(row, DISTANCE):.1f}") for row in points}
    level = next(row for row in points if row == last or not _apart(table.pairs(row, last, DISTANCE)))
    ends = table.values(last, DISTANCE)
    if level != last:
        end = (
            f"what came after {course[level][0]} changed it by {table.difference(last, level, DISTANCE)}, which can't "
            f"be told from nothing, with ends from {min(ends):.1f} to {max(ends):.1f}"
        )
    elif best == last:
        end = "it had not stopped getting better when the time was up, which does not contradict the claim"
    else:
        end = f"it got better until {course[best][0]}, and worse from there"
    shown = f"{table.mean(last, 'steps') * BATCH:,.0f} real digits"
    return (
        f"The Fréchet distance is {course[points[0]][1]} after {course[points[0]][0]} steps, {course[best][1]} at its "
        f"best, after {course[best][0]}, and {course[last][1]} at the end, where real digits against real ones have "
        f"{table.mean(FLOOR, DISTANCE):.2f}. In {course[last][0]} steps, which show {shown}, {end}."
    )


def _apart(differences: list[float]) -> bool:
    """Whether their mean is more than two standard errors from nothing."""
    n = len(differences)
    error = stdev(differences) / sqrt(n) if n > 1 else 0.0
    return abs(mean(differences)) > 2 * error


STUDY: Final = Study(
    name="dcgan",
    title="When does a shallow DCGAN stop getting better?",
    claim="Grids of its digits after epochs 10, 30, 50, 80, 90 and 100 look better and better",
    source=(
        "[alrPhysics/MNIST](https://github.com/alrPhysics/MNIST), "
        "[Hemraj183/DS-Olympus-](https://github.com/Hemraj183/DS-Olympus-)"
    ),
    protocol=(
        "The unconditional pair as its notebook has it: a dense layer and five transposed convolutions against four "
        f"convolutions and two dense layers ([layer by layer]({NETWORKS})), Glorot's initial weights, uniform noise, "
        f"batch {BATCH}, Adam with 3.3e-4 and β1 0.55 for the generator, 2e-4 and 0.4 for the discriminator, both "
        "moved at once by the cross-entropy of the discriminator's two outputs; on the 42,000 training rows without "
        f"their labels. Fréchet distance on the features of our small net after {READER_EPOCHS} epochs, of "
        f"{COMPARED:,} digits and as many of the test rows. Cut for the time: {STEPS * POINTS:,} steps are four "
        "epochs, where the notebook has 15 and the grids up to 100."
    ),
    columns=("steps", DISTANCE),
    cells=cells,
    measure=measure,
    plot=plot,
    verdict=verdict,
    pictures={
        SHEET: "A row for each point of the training, the same z in a column",
        FILM: "A hundred digits, always of the same z, through the training",
        DIAGRAM: "Both players",
    },
)
