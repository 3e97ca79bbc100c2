"""One member of the ensemble: a fold's generator and classifier, and their answers. And the generator that ships."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from tenfold import atomic, checkpoint
from tenfold.cgan import Generator
from tenfold.cgan_fit import drawing, fit_generator, sampler
from tenfold.checkpoint import Checkpoint
from tenfold.classifier import Classifier, answering
from tenfold.compute import prepare_process
from tenfold.digits import Digits
from tenfold.expansion import Expansion
from tenfold.fit import fit_classifier, probabilities
from tenfold.record import RunFolder, finish, finished, npz
from tenfold.settings import Settings

CLASSIFIER: Final = "classifier.safetensors"
GENERATOR: Final = "generator.safetensors"
ANSWERS: Final = "answers.npz"
CURVE_DIGITS: Final = 2000  # validation digits looked at after each epoch, for the record alone
SHIPPED: Final = 1000  # no fold's number: the generator that ships draws under this one

Report = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class FoldTask:
    """What one fold needs to know, and no more: of the validation digits it gets the labels for the record alone."""

    fold: int
    settings: Settings
    train: Digits
    validation: Digits
    test_images: npt.NDArray[np.uint8]
    run: RunFolder


@dataclass(frozen=True)
class ShippedGeneratorTask:
    """The generator that ships is fitted on all training digits, and used for nothing else."""

    settings: Settings
    train: Digits
    run: RunFolder


def fit_member(task: FoldTask, report: Report) -> None:
    """Fit a fold's generator on its training part, its classifier on both, and store what it says of the rest."""
    device = prepare_process(task.settings.compute)
    folder = task.run.fold(task.fold)
    images = torch.from_numpy(task.train.images).to(device)
    labels = torch.from_numpy(task.train.known_labels()).to(device)

    sample = None
    if task.settings.cgan.share > 0:
        generator = _fitted_generator(images, labels, task.settings, task.fold, task.run, folder, report)
        sample = sampler(generator, task.settings.cgan.z_dim)

    fit = task.settings.fit
    expansion = Expansion(
        images, labels, task.settings.warp, fit.batch_size, fit.epoch_images, task.settings.cgan.share, sample
    )
    curve = task.validation.take(np.arange(min(CURVE_DIGITS, len(task.validation))))

    def validate(net: nn.Module) -> dict[str, float]:
        said = probabilities(net, curve.images, device).argmax(1)
        return {"validation_accuracy": round(float((said == curve.known_labels()).mean()), 5)}

    path = folder / "classifier.checkpoint.safetensors"
    stage = _Stage(task.run, folder.name, "classifier", path, report)
    net = fit_classifier(expansion, task.settings, task.fold, stage.resume(), stage.after_epoch, validate)

    save_weights(folder / CLASSIFIER, net)
    answers = answering(net, task.settings.net)
    said = npz(
        validation=probabilities(answers, task.validation.images, device),
        test=probabilities(answers, task.test_images, device),
    )
    atomic.write(folder / ANSWERS, said)
    finish(folder, [CLASSIFIER, ANSWERS], {"fold": task.fold})
    path.unlink(missing_ok=True)


def fit_shipped_generator(task: ShippedGeneratorTask, report: Report) -> None:
    """Fit the generator of generator.onnx."""
    device = prepare_process(task.settings.compute)
    images = torch.from_numpy(task.train.images).to(device)
    labels = torch.from_numpy(task.train.known_labels()).to(device)
    folder = task.run.generator
    _fitted_generator(images, labels, task.settings, SHIPPED, task.run, folder, report)
    finish(folder, [GENERATOR], {})


def cut_log(run: RunFolder, folder: Path) -> None:
    """Cut a task's lines in the epochs' log back to what its checkpoints cover, before it goes on."""
    done = finished(folder) is not None
    for stage, weights in (("cgan", GENERATOR), ("classifier", CLASSIFIER)):
        if done or (stage == "cgan" and checkpoint.load(folder / weights)):
            continue
        state = checkpoint.load(folder / f"{stage}.checkpoint.safetensors")
        run.forget_epochs_after(folder.name, stage, state.epochs_done if state else 0)


def load_classifier(path: Path, settings: Settings) -> nn.Module:
    """The classifier that `save_weights` stored, as it answers."""
    net = Classifier(settings.net)
    load_weights(path, net)
    return answering(net, settings.net)


def load_generator(path: Path, settings: Settings) -> Generator:
    """The generator that `save_weights` stored, as it draws."""
    generator = Generator(settings.cgan)
    load_weights(path, generator)
    return drawing(generator)


def save_weights(path: Path, module: nn.Module) -> None:
    """Store the weights alone."""
    checkpoint.save(path, Checkpoint.of(0, {"weights": module}, {}))


def load_weights(path: Path, module: nn.Module) -> None:
    """The inverse of `save_weights`. Raises BadInput where the file is missing or damaged."""
    checkpoint.require(path).restore({"weights": module}, {})


def _fitted_generator(
    images: torch.Tensor,
    labels: torch.Tensor,
    settings: Settings,
    fold: int,
    run: RunFolder,
    folder: Path,
    report: Report,
) -> Generator:
    """Fit a generator, or take the one that an earlier start of this run stored."""
    path = folder / GENERATOR
    if checkpoint.load(path):
        return load_generator(path, settings).to(images.device)
    stage = _Stage(run, folder.name, "cgan", folder / "cgan.checkpoint.safetensors", report)

    def after_epoch(record: dict[str, Any], state: Checkpoint, grid: bytes) -> None:
        atomic.write(folder / "grids" / f"epoch-{record['epoch']:03d}.png", grid)
        stage.after_epoch(record, state)

    generator = fit_generator(images, labels, settings, fold, stage.resume(), after_epoch)
    save_weights(path, generator)
    stage.path.unlink(missing_ok=True)
    return generator


class _Stage:
    """Where one stage of one task logs its epochs and keeps its checkpoint."""

    def __init__(self, run: RunFolder, task: str, name: str, path: Path, report: Report) -> None:
        self.run, self.task, self.name, self.path, self.report = run, task, name, path, report
        self.last = time.monotonic()

    def resume(self) -> Checkpoint | None:
        return checkpoint.load(self.path)

    def after_epoch(self, record: dict[str, Any], state: Checkpoint) -> None:
        now = time.monotonic()
        line = {"task": self.task, "stage": self.name, **record, "seconds": round(now - self.last, 3)}
        self.last = now
        # First the log, then the checkpoint: a kill in between leaves a line too many, which the next start cuts.
        self.run.append_epoch(line)
        checkpoint.save(self.path, state)
        self.report(line)
