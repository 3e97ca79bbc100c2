"""Trained nets as files, and back."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from pathlib import Path

from torch import nn

from tenfold.models.cgan import Generator
from tenfold.models.classifier import Classifier
from tenfold.models.doubt import Doubt
from tenfold.models.inference import for_inference
from tenfold.settings import Cgan, Net, Settings
from tenfold.storage import checkpoint
from tenfold.storage.checkpoint import Checkpoint
from tenfold.storage.run_folder import CLASSIFIER, DOUBT, GENERATOR, RunFolder


def save_weights(path: Path, module: nn.Module) -> None:
    """Store the weights alone."""
    checkpoint.save(path, Checkpoint.of(0, {"weights": module}, {}))


def load_weights(path: Path, module: nn.Module) -> None:
    """The inverse of `save_weights`. Raises BadInput where the file is missing, damaged, or of another net."""
    checkpoint.require(path, {"weights": module}).restore({"weights": module}, {})


def load_classifier(path: Path, settings: Net) -> nn.Module:
    """A stored classifier, ready to predict, with its test-time shifts."""
    net = Classifier(settings)
    load_weights(path, net)
    return for_inference(net, settings)


def load_generator(path: Path, settings: Cgan) -> Generator:
    """A stored generator, ready to draw."""
    generator = Generator(settings)
    load_weights(path, generator)
    return generator.eval()


def load_light(run: RunFolder, settings: Settings) -> Classifier:
    """The light net of a run, ready to predict."""
    net = Classifier(settings.light_net)
    load_weights(run.light / CLASSIFIER, net)
    return net.eval()


def load_doubt(run: RunFolder, settings: Settings) -> Doubt:
    """What the light net of a run learned about images of no digit."""
    doubt = Doubt(settings.light_net)
    load_weights(run.light / DOUBT, doubt)
    return doubt.eval()


@dataclass(frozen=True)
class TrainedNets:
    """The nets of a finished run, ready to predict and to draw."""

    ensemble: list[nn.Module]
    light: Classifier
    doubt: Doubt | None  # of the light net
    generator: Generator
    z_dim: int

    @classmethod
    def load(cls, run: RunFolder, settings: Settings) -> TrainedNets:
        """All of them. Raises BadInput where one is missing or damaged."""
        places = product(range(settings.folds), range(settings.nets))
        return cls(
            ensemble=[load_classifier(run.net(fold, net) / CLASSIFIER, settings.net) for fold, net in places],
            light=load_light(run, settings),
            doubt=load_doubt(run, settings) if settings.light.non_digits else None,
            generator=load_generator(run.generator / GENERATOR, settings.cgan),
            z_dim=settings.cgan.z_dim,
        )
