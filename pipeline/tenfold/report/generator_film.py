"""What a generator's training leaves to look at, beside its weights: a film, curves, and what the players are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from tenfold.errors import BadInput
from tenfold.report import figures, networks
from tenfold.storage import atomic
from tenfold.storage.run_folder import RunFolder
from tenfold.training.tasks import GRIDS
from tenfold_onnx.images import film_gif

FILM: Final = "progress.gif"
NETWORKS: Final = "networks.md"
MOST_FRAMES: Final = 20
FRAME_MS: Final = 250


def write(folder: RunFolder) -> None:
    """Put it into the folder of the generator that ships, which is fitted."""
    place, epochs = folder.generator, drawn(folder)
    cgan = folder.settings().cgan
    atomic.write(place / FILM, film(grids(place)))
    atomic.write(place / NETWORKS, networks.summary(networks.players(cgan)).encode())
    pictures = {
        "networks.svg": networks.diagram(cgan),
        "losses.svg": figures.players(epochs),
        "scores.svg": figures.scores(epochs),
        "variety.svg": figures.variety(epochs),
    }
    for name, svg in pictures.items():
        atomic.write(place / name, figures.alone(svg))


def drawn(folder: RunFolder) -> Sequence[Mapping[str, Any]]:
    """The epochs of the generator that ships."""
    return [line for line in folder.epochs() if line["task"] == folder.generator.name]


def grids(place: Path) -> list[bytes]:
    """The pictures of a generator's digits, one an epoch, always of the same z. Raises BadInput where there is none."""
    found = sorted((place / GRIDS).glob("epoch-*.png"))
    if not found:
        raise BadInput(f"{place / GRIDS}: holds no picture of generated digits; let the same command end first")
    return [path.read_bytes() for path in found]


def film(pictures: Sequence[bytes]) -> bytes:
    """A GIF of at most MOST_FRAMES of them, evenly spaced, the last one among them."""
    step = -(-len(pictures) // MOST_FRAMES)
    return film_gif(pictures[::-1][::step][::-1], FRAME_MS)
