"""The two tasks of a run: fit a generator, fit a classifier."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import nn

from tenfold.data.batches import Batches
from tenfold.data.digits import Digits
from tenfold.data.non_digits import non_digits
from tenfold.errors import RunFailed
from tenfold.models.classifier import initial_classifier
from tenfold.models.inference import Sampler, for_inference, probabilities, sampler
from tenfold.models.weights import load_generator, load_weights, save_weights
from tenfold.seeds import SeedStream
from tenfold.settings import Cgan, Compute, Fit, Net, Warp
from tenfold.storage import atomic
from tenfold.storage.checkpoint import Checkpoint
from tenfold.storage.epoch_log import GeneratorEpoch
from tenfold.storage.npz import npz
from tenfold.storage.run_folder import CLASSIFIER, DOUBT, GENERATOR, GRIDS, VALIDATION, RunFolder
from tenfold.training.device import autocast, prepare_process
from tenfold.training.fit_classifier import fit_classifier
from tenfold.training.fit_doubt import fit_doubt
from tenfold.training.fit_generator import fit_generator, variety
from tenfold.training.task_folder import Report, RunningTask, rate_cuts

CURVE_DIGITS: Final = 2000  # validation digits predicted after each epoch, for the log only


@dataclass(frozen=True, kw_only=True)
class Training:
    """One training in the folder `name` of `run`; replace `run` to move it to another machine."""

    name: str
    run: RunFolder
    seeds: SeedStream
    compute: Compute
    cgan: Cgan
    train: Digits

    @property
    def folder(self) -> Path:
        """Where it writes."""
        return self.run.path / self.name


@dataclass(frozen=True, kw_only=True)
class GeneratorTask(Training):
    """Fit a generator on `train` alone."""


@dataclass(frozen=True, kw_only=True)
class ClassifierTask(Training):
    """Fit a classifier on `train` and a generator's digits; predict `validation`, whose labels are for the log only."""

    net: Net
    fit: Fit
    warp: Warp
    validation: Digits | None
    generator: str | None  # name of the folder in `run` of a generator that never saw `validation`
    non_digits: float  # images of no digit per training digit, to learn to doubt from
    init: Path | None  # weights to start from


def fit_generator_task(task: GeneratorTask, report: Report) -> None:
    """Store the generator's weights, and a picture of its digits for every epoch."""
    device = prepare_process(task.compute)
    images = torch.from_numpy(task.train.images).to(device)
    labels = torch.from_numpy(task.train.known_labels()).to(device)
    running = RunningTask(task.run, task.folder, "cgan", report)

    def after_epoch(epoch: GeneratorEpoch, state: Checkpoint, grid: bytes) -> None:
        atomic.write(task.folder / GRIDS / f"epoch-{epoch.epoch:03d}.png", grid)
        running.after_epoch(epoch, state)

    with running.recording_divergence():
        generator = fit_generator(
            images,
            labels,
            task.cgan,
            task.compute,
            task.seeds,
            resume=running.resume(),
            after_epoch=after_epoch,
            after_step=running.after_step,
            rate_cuts=rate_cuts(task.folder),
        )
    final_variety = variety(generator, images, labels, task.cgan, task.seeds)
    if final_variety < task.cgan.least_variety and task.cgan.collapsed == "stop":
        raise RunFailed(
            f"has collapsed: its digits within a class vary {final_variety:.2f} times as much as real ones, less than "
            f"--cgan.least-variety {task.cgan.least_variety:g}; use --fresh with more --cgan.epochs, another "
            "--cgan.lr, or --cgan.collapsed leave-out"
        )
    save_weights(task.folder / GENERATOR, generator)
    grids = [str(path.relative_to(task.folder)) for path in sorted((task.folder / GRIDS).glob("epoch-*.png"))]
    running.finish([GENERATOR, *grids], variety=round(final_variety, 4))


def fit_classifier_task(task: ClassifierTask, report: Report) -> None:
    """Store the classifier's weights, and its probabilities for the validation digits if there are any."""
    device = prepare_process(task.compute)
    batches = Batches(
        images=torch.from_numpy(task.train.images).to(device),
        labels=torch.from_numpy(task.train.known_labels()).to(device),
        warp=task.warp,
        batch_size=task.fit.batch_size,
        epoch_images=task.fit.epoch_images,
        share=task.cgan.share,
        sample=_sampler(task, device),
        least_probability=task.cgan.least_probability,
        soft_labels=task.cgan.soft_labels,
    )
    curve_digits = task.validation.take(np.arange(min(CURVE_DIGITS, len(task.validation)))) if task.validation else None

    def validate(net: nn.Module) -> float:
        assert curve_digits
        with autocast(task.compute):  # for the log only, so it need not be exact
            predicted = probabilities(net, curve_digits.images, device).argmax(1)
        return round(float((predicted == curve_digits.known_labels()).mean()), 5)

    net = initial_classifier(task.net, task.seeds)
    if task.init:
        load_weights(task.init, net)
    running = RunningTask(task.run, task.folder, "classifier", report)
    with running.recording_divergence():
        net = fit_classifier(
            net,
            batches,
            task.fit,
            task.compute,
            task.seeds,
            resume=running.resume(),
            after_epoch=running.after_epoch,
            after_step=running.after_step,
            validate=validate if curve_digits else None,
            rate_cuts=rate_cuts(task.folder),
        )
    save_weights(task.folder / CLASSIFIER, net)
    files = [CLASSIFIER]
    if n := round(task.non_digits * len(task.train)):
        others = torch.from_numpy(non_digits(n, task.train, task.seeds.seed_of("non-digits"))).to(device)
        save_weights(task.folder / DOUBT, fit_doubt(net, task.net, batches.images, others, task.warp, task.seeds))
        files.append(DOUBT)
    if task.validation:
        probs = probabilities(for_inference(net, task.net), task.validation.images, device)
        atomic.write(task.folder / VALIDATION, npz(validation=probs))
        files.append(VALIDATION)
    running.finish(files)


def _sampler(task: ClassifierTask, device: torch.device) -> Sampler | None:
    if task.generator is None:
        return None
    generator = load_generator(task.run.path / task.generator / GENERATOR, task.cgan)
    return sampler(generator.to(device), task.cgan.z_dim)
