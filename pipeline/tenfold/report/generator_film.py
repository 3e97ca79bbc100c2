"""What to look at of a generator's training: a film of its digits, curves, and the networks layer by layer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from tenfold.errors import BadInput
from tenfold.report import figures, networks
from tenfold.settings import Cgan
from tenfold.storage import atomic
from tenfold.storage.epoch_log import Epoch, GeneratorEpoch
from tenfold.storage.run_folder import GRIDS, RunFolder
from tenfold_onnx.images import film_gif

FILM: Final = "progress.gif"
NETWORKS: Final = "networks.md"
MAX_FRAMES: Final = 20
FRAME_MS: Final = 250


def write(run: RunFolder, cgan: Cgan, epochs: Iterable[Epoch]) -> None:
    """Write all of it into the folder of the final generator, which is fitted."""
    own = final_generator_epochs(epochs, run)
    folder = run.generator
    atomic.write(folder / FILM, film(grids(folder)))
    atomic.write(folder / NETWORKS, networks.summary(networks.pair(cgan)).encode())
    pictures = {
        "networks.svg": networks.diagram(cgan),
        "losses.svg": figures.gan_losses(own),
        "scores.svg": figures.scores(own),
        "variety.svg": figures.variety(own),
    }
    for name, svg in pictures.items():
        atomic.write(folder / name, figures.standalone(svg))


def final_generator_epochs(epochs: Iterable[Epoch], run: RunFolder) -> list[GeneratorEpoch]:
    """The epochs of the final generator."""
    return [one for one in epochs if isinstance(one, GeneratorEpoch) and one.task == run.generator.name]


def grids(folder: Path) -> list[bytes]:
    """The pictures of a generator's digits, one per epoch, from the same z. Raises BadInput where there is none."""
    paths = sorted((folder / GRIDS).glob("epoch-*.png"))
    if not paths:
        raise BadInput(f"{folder / GRIDS}: no picture of generated digits; let the same command finish first")
    return [path.read_bytes() for path in paths]


def film(pictures: Sequence[bytes]) -> bytes:
    """A GIF of at most MAX_FRAMES of them, evenly spaced, including the last."""
    step = -(-len(pictures) // MAX_FRAMES)
    return film_gif(pictures[::-1][::step][::-1], FRAME_MS)
