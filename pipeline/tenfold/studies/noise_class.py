"""Width of the noise against width of the class embedding: which of the two a generator follows."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
from markupsafe import Markup

from tenfold.evaluation import generator_quality
from tenfold.report import figures
from tenfold.seeds import SeedStream
from tenfold.settings import Cgan
from tenfold.studies.cells import Material, Measurement
from tenfold.studies.reference_net import reference_net, train_generator
from tenfold.studies.study import Study
from tenfold.studies.table import DECIMAL, Table
from tenfold_onnx.images import film_gif

WIDTHS: Final = (4, 16, 64)
DIGITS, EPOCHS = 14_000, 9  # as many steps as three epochs of all, in nine frames of a film
REFERENCE_EPOCHS: Final = 2
FRAME_MS: Final = 400
PLAIN: Final = Cgan(epochs=EPOCHS, loss="non-saturating", class_std=1.0)  # class_std as torch has it by default


def _cell(z: int, embedding: int) -> str:
    return f"z {z}, class {embedding}"


GRID: Final = {_cell(z, width): replace(PLAIN, z_dim=z, class_dim=width) for z in WIDTHS for width in WIDTHS}
BASE: Final = _cell(64, 64)
LEAST_SQUARES, SKIPS, FAINT = "least squares", "skip connections", "embedding at 0.2"
CGANS: Final = {
    **GRID,
    LEAST_SQUARES: replace(PLAIN, loss="least-squares"),
    SKIPS: replace(PLAIN, skip=True),
    FAINT: replace(PLAIN, class_std=0.2),
}
FILMS: Final = {
    cell: f"noise-class-{cell.replace(', ', '-').replace(' ', '-')}.gif"
    for cell in map(_cell, (64, 4, 64), (4, 64, 64))
}


def cells(quick: bool) -> list[str]:
    """The grid, and the further claims at its widest point."""
    return [_cell(64, 4), _cell(4, 64), BASE] if quick else list(CGANS)


def measure(cell: str, seed: int, material: Material) -> list[Measurement]:
    """Fidelity (agreement, precision) and variety (recall, variety within a class) of generated digits."""
    cgan = replace(CGANS[cell], epochs=1, epoch_images=256) if material.quick else CGANS[cell]
    digits = material.train.take(np.arange(min(DIGITS, len(material.train))))
    generator = train_generator(digits, cgan, material.compute, SeedStream(seed, 0))
    net = reference_net(material, REFERENCE_EPOCHS)
    quality = generator_quality.measure(
        net, generator.sample, digits.images, material.test.images, seed, generator.device
    )
    numbers = {
        "agreement": quality.agreement_mean,
        "precision": quality.manifold.precision,
        "recall": quality.manifold.recall,
        "variety": generator.variety,
        "Fréchet distance": quality.frechet,
    }
    filmed = cell in FILMS and seed == 0
    return [Measurement(cell, numbers, {FILMS[cell]: film_gif(generator.sheets, FRAME_MS)} if filmed else {})]


def plot(table: Table) -> Markup:
    """Fidelity against variety."""
    points = {name: (table.mean(name, "variety"), table.mean(name, "agreement")) for name in table.names()}
    return figures.scattered(points, "variety within a class (real digits: 1)", "agreement with the requested label")


def verdict(table: Table) -> str:
    """Which of the two the generator follows, and what least squares, skips and a faint embedding change."""

    def both(name: str) -> str:
        return f"{table.mean(name, 'agreement'):.3f} and {table.mean(name, 'variety'):.2f}"

    noisy, quiet = _cell(64, 4), _cell(4, 64)
    text = (
        f"Agreement with the requested label and variety within a class are {both(noisy)} with wide noise and a narrow "
        f"class embedding ({noisy}), {both(quiet)} the other way round ({quiet}), and {both(BASE)} with both wide"
    )
    further = [name for name in (LEAST_SQUARES, SKIPS, FAINT) if name in table.names()]
    if not further:
        return f"{text}."
    changes = [f"{name} {table.difference(name, BASE, 'Fréchet distance')}" for name in further]
    return (
        f"{text}. From there, the Fréchet distance of {table.mean(BASE, 'Fréchet distance'):.2f} changes by: "
        f"{'; '.join(changes)} (an embedding that starts at 0.2 gives {both(FAINT)})."
    )


STUDY: Final = Study(
    name="noise-class",
    title="How wide the noise, how wide the class embedding?",
    claim=(
        "Wide noise beside the class vector blurs or loses the class, narrow noise loses variety; least squares beats "
        "cross-entropy; skip connections help"
    ),
    source="[posyd0moika/NeuralNetwork_MNIST](https://github.com/posyd0moika/NeuralNetwork_MNIST)",
    protocol=(
        f"Our generator and discriminator with the non-saturating loss, which is cross-entropy, for {EPOCHS} epochs "
        f"on the first {DIGITS:,} training rows. The widths of the latent vector and of the class embedding are as "
        "named. Both start with standard deviation 1, unless the row says 0.2, which is the pipeline's own setting. "
        f"Agreement, precision, recall and Fréchet distance are measured by our small net after {REFERENCE_EPOCHS} "
        "epochs on all training rows, against the test rows' images. Variety is a pixel's standard deviation within a "
        "class, as a share of real digits'. Limited by time: few epochs (the pipeline's own generator has 12 to 40, of "
        "three times as many digits)."
    ),
    columns={name: DECIMAL for name in ("agreement", "variety", "precision", "recall", "Fréchet distance")},
    cells=cells,
    measure=measure,
    plot=plot,
    verdict=verdict,
    pictures={film: f"{cell}: the same z and labels through {EPOCHS} epochs" for cell, film in FILMS.items()},
)
