"""Width of the noise against width of the class embedding: which of the two a generator follows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import torch
from markupsafe import Markup

from tenfold.evaluation import generator_quality
from tenfold.models.inference import sampler
from tenfold.report import figures
from tenfold.seeds import SeedStream
from tenfold.settings import Cgan, Settings
from tenfold.studies.reference_net import reference_net
from tenfold.studies.study import Material, Measured, Study
from tenfold.studies.table import Table
from tenfold.training.fit_generator import fit_generator
from tenfold_onnx.images import film_gif

WIDTHS: Final = (4, 16, 64)
DIGITS, EPOCHS = 14_000, 9  # as many steps as three epochs of all, in nine frames of a film
READER_EPOCHS: Final = 2
FRAME_MS: Final = 400
PLAIN: Final = Cgan(epochs=EPOCHS, loss="non-saturating", class_std=1.0)  # class_std as torch has it by default


def _cell(z: int, embedding: int) -> str:
    return f"z {z}, class {embedding}"


GRID: Final = {_cell(z, wide): replace(PLAIN, z_dim=z, class_dim=wide) for z in WIDTHS for wide in WIDTHS}
BASE: Final = _cell(64, 64)
LEAST_SQUARES, SKIPS, FAINT = "least squares", "skip connections", "embedding at 0.2"
EVERY: Final = {
    **GRID,
    LEAST_SQUARES: replace(PLAIN, loss="least-squares"),
    SKIPS: replace(PLAIN, skip=True),
    FAINT: replace(PLAIN, class_std=0.2),
}
FILMED: Final = {cell: cell.replace(", ", "-").replace(" ", "-") for cell in map(_cell, (64, 4, 64), (4, 64, 64))}


def cells(quick: bool) -> list[str]:
    """The grid, and the further claims at its widest point."""
    return [_cell(64, 4), _cell(4, 64), BASE] if quick else list(EVERY)


def measure(cell: str, seed: int, its: Material) -> list[Measured]:
    """Fidelity (agreement, precision) and variety (recall, variety within a class) of what a generator draws."""
    cgan = replace(EVERY[cell], epochs=1, epoch_images=256) if its.quick else EVERY[cell]
    settings = Settings(seed=seed, cgan=cgan, compute=its.compute)
    images, labels = torch.from_numpy(its.train.images), torch.from_numpy(its.train.known_labels())
    grids, records = [], []

    def after_epoch(record: dict[str, Any], state: object, grid: bytes) -> None:
        records.append(record)
        grids.append(grid)

    stream = SeedStream(seed, 0)
    generator = fit_generator(images[:DIGITS], labels[:DIGITS], settings, stream, None, after_epoch)
    sample = sampler(generator, cgan.z_dim)
    found = generator_quality.measured(
        reference_net(its, READER_EPOCHS), sample, its.train.images[:DIGITS], its.test.images, seed, images.device
    )
    numbers = {
        "agreement": found.agreement_mean,
        "precision": found.manifold.precision,
        "recall": found.manifold.recall,
        "variety": records[-1]["variety"],
        "Fréchet distance": found.frechet,
    }
    filmed = cell in FILMED and seed == 0
    return [Measured(cell, numbers, {_film(FILMED[cell]): film_gif(grids, FRAME_MS)} if filmed else {})]


def _film(name: str) -> str:
    return f"noise-class-{name}.gif"


def plot(table: Table) -> Markup:
    """Fidelity against variety."""
    points = {name: (table.mean(name, "variety"), table.mean(name, "agreement")) for name in table.names()}
    return figures.scattered(points, "variety within a class (real digits: 1)", "agreement with the asked label")


def verdict(table: Table) -> str:
    """Which of the two wins, and what least squares, skips and a faint embedding change."""

    def told(name: str) -> str:
        return f"{table.mean(name, 'agreement'):.3f} and {table.mean(name, 'variety'):.2f}"

    noisy, quiet = _cell(64, 4), _cell(4, 64)
    text = (
        f"Agreement with the asked label and variety within a class are {told(noisy)} with much noise beside a narrow "
        f"class ({noisy}), {told(quiet)} the other way round ({quiet}), {told(BASE)} with both wide"
    )
    further = [name for name in (LEAST_SQUARES, SKIPS, FAINT) if name in table.names()]
    if not further:
        return f"{text}."
    changes = [f"{name} {table.difference(name, BASE, 'Fréchet distance')}" for name in further]
    return (
        f"{text}. From there the Fréchet distance of {table.mean(BASE, 'Fréchet distance'):.2f} is changed so: "
        f"{'; '.join(changes)} (an embedding that begins at 0.2 leaves {told(FAINT)})."
    )


STUDY: Final = Study(
    name="noise-class",
    title="How wide the noise, how wide the class?",
    claim=(
        "Much noise against the class vector blurs or loses the class, little noise loses variety; least squares beats "
        "cross-entropy; skip connections help"
    ),
    source="[posyd0moika/NeuralNetwork_MNIST](https://github.com/posyd0moika/NeuralNetwork_MNIST)",
    protocol=(
        f"Our generator and discriminator with the non-saturating loss, which is cross-entropy, for {EPOCHS} epochs "
        f"on the first {DIGITS:,} training rows. The widths of the latent vector and of the class embedding are as "
        "named, and both begin with values of standard deviation 1, unless the row says 0.2, which is what the "
        "pipeline does. Agreement, precision, recall and Fréchet distance are those of our small net after "
        f"{READER_EPOCHS} epochs on all training rows, against the test rows' images. Variety is a pixel's standard "
        "deviation within a class, as a share of real digits'. Cut for the time: epochs (the pipeline's own "
        "generator has 12 to 40, of three times as many digits)."
    ),
    columns=("agreement", "variety", "precision", "recall", "Fréchet distance"),
    cells=cells,
    measure=measure,
    plot=plot,
    verdict=verdict,
    pictures={_film(name): f"{cell}: the same z and labels through {EPOCHS} epochs" for cell, name in FILMED.items()},
)
