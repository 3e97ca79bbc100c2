"""Trained nets as files, and back."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from torch import nn

from tenfold import checkpoint
from tenfold.cgan import Generator
from tenfold.cgan_fit import drawing
from tenfold.checkpoint import Checkpoint
from tenfold.classifier import Classifier, answering
from tenfold.settings import Cgan, Net

CLASSIFIER: Final = "classifier.safetensors"
GENERATOR: Final = "generator.safetensors"


def save_weights(path: Path, module: nn.Module) -> None:
    """Store the weights alone."""
    checkpoint.save(path, Checkpoint.of(0, {"weights": module}, {}))


def load_weights(path: Path, module: nn.Module) -> None:
    """The inverse of `save_weights`. Raises BadInput where the file is missing, damaged, or of another net."""
    checkpoint.require(path, {"weights": module}).restore({"weights": module}, {})


def load_classifier(path: Path, settings: Net) -> nn.Module:
    """The classifier that `save_weights` stored, as it answers."""
    net = Classifier(settings)
    load_weights(path, net)
    return answering(net, settings)


def load_generator(path: Path, settings: Cgan) -> Generator:
    """The generator that `save_weights` stored, as it draws."""
    generator = Generator(settings)
    load_weights(path, generator)
    return drawing(generator)
