"""Trained nets as files, and back."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from torch import nn

from tenfold.models.cgan import Generator
from tenfold.models.classifier import Classifier
from tenfold.models.inference import for_inference
from tenfold.settings import Cgan, Net
from tenfold.storage import checkpoint
from tenfold.storage.checkpoint import Checkpoint

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
    return for_inference(net, settings)


def load_generator(path: Path, settings: Cgan) -> Generator:
    """The generator that `save_weights` stored, as it draws."""
    generator = Generator(settings)
    load_weights(path, generator)
    return generator.eval()
