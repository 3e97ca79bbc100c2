"""A shallow unconditional DCGAN as its authors describe it, with its two learning rates: when it stops improving."""

from __future__ import annotations

from statistics import mean
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from markupsafe import Markup
from scipy import stats
from torch import Tensor, nn, optim

from tenfold.evaluation import generator_quality
from tenfold.models.inference import features
from tenfold.report import figures, networks
from tenfold.studies.cells import Material, Measurement
from tenfold.studies.reference_net import reference_net
from tenfold.studies.study import Study
from tenfold.studies.table import COUNT, DECIMAL, Table
from tenfold.training.device import autocast
from tenfold_onnx.images import film_gif, sheet_png

Z_DIM: Final = 100
POINTS: Final = 10  # of the training at which it is measured
STEPS: Final = 1050  # from one point to the next: four epochs of 42,000 digits in all
BATCH: Final = 16
REFERENCE_EPOCHS: Final = 4
COMPARED: Final = 2000  # digits
FRAME_MS: Final = 400
FLOOR: Final = "real digits"
DISTANCE: Final = "Fréchet distance"
SHEET, FILM, NETWORKS, DIAGRAM = "dcgan-digits.png", "dcgan.gif", "dcgan-networks.md", "dcgan-networks.svg"


class Generator(nn.Module):
    """z float (N, 100) in [-1, 1] to images float (N, 1, 28, 28) in [-1, 1]; below 0 is background."""

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
        self.apply(_glorot)

    def forward(self, z: Tensor) -> Tensor:
        """Images."""
        images: Tensor = self.layers(z)
        return images


class Discriminator(nn.Module):
    """Images float (N, 1, 28, 28) to scores (N, 2) in [-1, 1]: generated, real."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *(nn.Conv2d(1, 32, 3, padding=1), nn.Conv2d(32, 64, 5, 2, 2)),
            *(nn.Conv2d(64, 64, 5, 2, 2), nn.LeakyReLU(0.2), nn.Conv2d(64, 128, 3, padding=1), nn.LeakyReLU(0.2)),
            *(nn.Flatten(), nn.Linear(128 * 7 * 7, 100), nn.Linear(100, 2), nn.Tanh()),
        )
        self.apply(_glorot)

    def forward(self, images: Tensor) -> Tensor:
        """Scores."""
        scores: Tensor = self.layers(images)
        return scores


def _glorot(layer: nn.Module) -> None:
    """Glorot's initial weights, the default in the original framework; with torch's default this pair never learns."""
    if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
        nn.init.xavier_uniform_(layer.weight)
        nn.init.zeros_(layer.bias)  # type: ignore[arg-type]


def cells(quick: bool) -> list[str]:
    """One training."""
    return ["shallow DCGAN"]


def measure(cell: str, seed: int, material: Material) -> list[Measurement]:
    """Fréchet distance at each point of the training, and digits always of the same z."""
    images, device = torch.from_numpy(material.train.images), torch.device("cpu")
    net, test = reference_net(material, REFERENCE_EPOCHS), material.test.images
    n = min(COMPARED, len(test) // 2)
    real_features, other_features = (features(net, part, device) for part in (test[:n], test[n : 2 * n]))
    torch.manual_seed(seed)
    generator = Generator().to(memory_format=torch.channels_last)
    discriminator = Discriminator().to(memory_format=torch.channels_last)
    optimiser_g = optim.Adam(generator.parameters(), lr=3.3e-4, betas=(0.55, 0.999))
    optimiser_d = optim.Adam(discriminator.parameters(), lr=2e-4, betas=(0.4, 0.999))
    rng = torch.Generator().manual_seed(seed)
    fixed = _noise(n, rng)
    is_real = torch.cat([torch.ones(BATCH), torch.zeros(BATCH)]).long()
    steps = 2 if material.quick else STEPS
    rows, digits = [], []
    for point in range(1, POINTS + 1):
        for _ in range(steps):
            index = torch.randint(len(images), (BATCH,), generator=rng)
            real = images[index].unsqueeze(1).float().div_(255)
            with autocast(material.compute):
                generated = generator(_noise(BATCH, rng))
                scores = discriminator(torch.cat([real, generated])).float()
            optimiser_d.zero_grad(set_to_none=True)
            optimiser_g.zero_grad(set_to_none=True)
            loss_d, loss_g = F.cross_entropy(scores, is_real), F.cross_entropy(scores[BATCH:], is_real[:BATCH])
            loss_d.backward(inputs=list(discriminator.parameters()), retain_graph=True)
            loss_g.backward(inputs=list(generator.parameters()))
            optimiser_d.step()
            optimiser_g.step()
        digits.append(_generated(generator, fixed))
        distance = generator_quality.frechet(real_features, features(net, digits[-1], device))
        rows.append(Measurement(_row(point), {"steps": steps * point, DISTANCE: distance}))
    files = _pictures(digits) if seed == 0 else {}
    floor = generator_quality.frechet(real_features, other_features)
    return [*rows, Measurement(FLOOR, {DISTANCE: floor}, files)]


def _row(point: int) -> str:
    return f"{point} of {POINTS}"


def _noise(n: int, rng: torch.Generator) -> Tensor:
    return torch.rand(n, Z_DIM, generator=rng) * 2 - 1


@torch.inference_mode()
def _generated(generator: Generator, z: Tensor) -> npt.NDArray[np.uint8]:
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
        DIAGRAM: figures.standalone(networks.side_by_side(nets)),
    }


def plot(table: Table) -> Markup:
    """Fréchet distance through training, one line per seed."""
    curves: dict[str, list[tuple[float, float]]] = {}
    for row in table.rows:
        if row["row"] != FLOOR:
            curves.setdefault(f"seed {row['seed']}", []).append((row["steps"], row[DISTANCE]))
    return figures.courses(curves, "steps", DISTANCE, (FLOOR, table.mean(FLOOR, DISTANCE)))


def verdict(table: Table) -> str:
    """When it stops improving: the first point that is within two standard errors of the end, paired by seed."""
    points = [_row(point) for point in range(1, POINTS + 1)]
    last, best = points[-1], min(points, key=lambda row: table.mean(row, DISTANCE))
    steps = {row: f"{table.mean(row, 'steps'):,.0f}" for row in points}
    distance = {row: f"{table.mean(row, DISTANCE):.1f}" for row in points}
    level = next(row for row in points if row == last or not _differ(table.pairs(row, last, DISTANCE)))
    ends = table.values(last, DISTANCE)
    if level != last:
        end = (
            f"the steps after {steps[level]} changed it by {table.difference(last, level, DISTANCE)}, which is not "
            f"distinguishable from 0; the ends range from {min(ends):.1f} to {max(ends):.1f}"
        )
    elif best == last:
        end = "it was still improving at the end, which does not contradict the claim"
    else:
        end = f"it improved until {steps[best]}, then got worse"
    shown = f"{table.mean(last, 'steps') * BATCH:,.0f} real digits"
    return (
        f"The Fréchet distance is {distance[points[0]]} after {steps[points[0]]} steps, {distance[best]} at its best, "
        f"after {steps[best]}, and {distance[last]} at the end; between real digits it is "
        f"{table.mean(FLOOR, DISTANCE):.2f}. In {steps[last]} steps, which show {shown}, {end}."
    )


def _differ(differences: list[float]) -> bool:
    """Whether their mean is more than two standard errors from 0."""
    error = stats.sem(differences) if len(differences) > 1 else 0.0
    return abs(mean(differences)) > 2 * error


STUDY: Final = Study(
    name="dcgan",
    title="When does a shallow DCGAN stop improving?",
    claim="Sheets of its digits after epochs 10, 30, 50, 80, 90 and 100 look better and better",
    source=(
        "[alrPhysics/MNIST](https://github.com/alrPhysics/MNIST), "
        "[Hemraj183/DS-Olympus-](https://github.com/Hemraj183/DS-Olympus-)"
    ),
    protocol=(
        "The unconditional pair as in its notebook: a dense layer and five transposed convolutions against four "
        f"convolutions and two dense layers ([layer by layer]({NETWORKS})), Glorot's initial weights, uniform noise, "
        f"batch {BATCH}, Adam with 3.3e-4 and β1 0.55 for the generator, 2e-4 and 0.4 for the discriminator, both "
        "updated at once by the cross-entropy of the discriminator's two outputs; on the 42,000 training rows without "
        f"their labels. Fréchet distance on the features of our small net after {REFERENCE_EPOCHS} epochs, between "
        f"{COMPARED:,} generated digits and as many test rows. Limited by time: {STEPS * POINTS:,} steps are four "
        "epochs; the notebook has 15, and the sheets go up to 100."
    ),
    columns={"steps": COUNT, DISTANCE: DECIMAL},
    cells=cells,
    measure=measure,
    plot=plot,
    verdict=verdict,
    pictures={
        SHEET: "One row per point of the training, the same z in each column",
        FILM: "A hundred digits through the training, always of the same z",
        DIAGRAM: "Generator and discriminator",
    },
)
