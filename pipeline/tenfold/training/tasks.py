"""What a run consists of, each in a process of its own: fit a generator, fit a classifier."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import nn

from tenfold.data.batches import Expansion
from tenfold.data.digits import Digits
from tenfold.errors import BadInput, Diverged, RunFailed
from tenfold.models.inference import for_inference, probabilities, sampler
from tenfold.models.weights import CLASSIFIER, GENERATOR, load_generator, save_weights
from tenfold.seeds import SeedStream
from tenfold.settings import Cgan, Settings
from tenfold.storage import atomic, checkpoint
from tenfold.storage.checkpoint import FORMAT, Checkpoint, Unusable
from tenfold.storage.completion import DONE, finish, finished
from tenfold.storage.npz import npz
from tenfold.storage.run_folder import RunFolder
from tenfold.training.device import autocast, prepare_process
from tenfold.training.fit_classifier import fit_classifier
from tenfold.training.fit_generator import fit_generator, variety
from tenfold.training.schedule import RateCut

ANSWERS: Final = "answers.npz"
DIVERGED: Final = "diverged.json"
RATE_CUTS: Final = "rate_cuts.json"
GRIDS: Final = "grids"  # a picture of generated digits an epoch
CGAN_STAGE: Final = "cgan"
CLASSIFIER_STAGE: Final = "classifier"
CURVE_DIGITS: Final = 2000  # validation digits looked at after each epoch, for the record alone

Report = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class GeneratorTask:
    """Fit a generator on `train` alone, in the folder `name` of `run`: another `run` is all it takes to move it."""

    settings: Settings
    stream: SeedStream
    train: Digits
    name: str
    run: RunFolder

    @property
    def folder(self) -> Path:
        """Where it writes."""
        return self.run.path / self.name


@dataclass(frozen=True)
class ClassifierTask:
    """Fit a classifier on `train` and the digits of a generator; say what it makes of `validation`.

    Of the validation digits it gets the labels for the record alone. It is moved as a GeneratorTask is, with the
    weights at `init` beside it.
    """

    settings: Settings
    stream: SeedStream
    train: Digits
    validation: Digits | None
    generator: str | None  # the folder in `run` of one that never saw `validation`
    init: Path | None  # weights to begin with
    name: str
    run: RunFolder

    @property
    def folder(self) -> Path:
        """Where it writes."""
        return self.run.path / self.name


def fit_generator_task(task: GeneratorTask, report: Report) -> None:
    """Store the generator's weights, and a picture of its digits for every epoch."""
    device = prepare_process(task.settings.compute)
    images = torch.from_numpy(task.train.images).to(device)
    labels = torch.from_numpy(task.train.known_labels()).to(device)
    stage = _Stage(task.run, task.folder, CGAN_STAGE, report)

    def after_epoch(record: dict[str, Any], state: Checkpoint, grid: bytes) -> None:
        atomic.write(task.folder / GRIDS / f"epoch-{record['epoch']:03d}.png", grid)
        stage.after_epoch(record, state)

    with stage.watched():
        generator = fit_generator(
            images, labels, task.settings, task.stream, stage.resume(), after_epoch, rate_cuts(task.folder)
        )
    found = variety(generator, images, labels, task.settings, task.stream)
    if found < task.settings.cgan.least_variety and task.settings.cgan.collapsed == "stop":
        raise RunFailed(
            f"has collapsed, its digits of a class differ {found:.2f} times as much as real ones, below "
            f"--cgan.least-variety {task.settings.cgan.least_variety:g}; with --fresh give it more --cgan.epochs or "
            "another --cgan.lr, or go on without its digits by --cgan.collapsed leave-out"
        )
    save_weights(task.folder / GENERATOR, generator)
    finish(task.folder, [GENERATOR], {"format": FORMAT, "variety": round(found, 4)})
    stage.path.unlink(missing_ok=True)


def fit_classifier_task(task: ClassifierTask, report: Report) -> None:
    """Store the classifier's weights, and what it says of the validation digits where there are any."""
    settings, fit = task.settings, task.settings.fit
    device = prepare_process(settings.compute)
    sample = None
    if task.generator:
        drawer = load_generator(task.run.path / task.generator / GENERATOR, settings.cgan)
        sample = sampler(drawer.to(device), settings.cgan.z_dim)
    images = torch.from_numpy(task.train.images).to(device)
    labels = torch.from_numpy(task.train.known_labels()).to(device)
    expansion = Expansion(
        images,
        labels,
        settings.warp,
        fit.batch_size,
        fit.epoch_images,
        settings.cgan.share,
        sample,
        settings.cgan.least_probability,
        settings.cgan.soft_labels,
    )
    curve = task.validation.take(np.arange(min(CURVE_DIGITS, len(task.validation)))) if task.validation else None

    def validate(net: nn.Module) -> dict[str, float]:
        assert curve
        with autocast(settings.compute):  # a look for the record need not be exact
            said = probabilities(net, curve.images, device).argmax(1)
        return {"validation_accuracy": round(float((said == curve.known_labels()).mean()), 5)}

    stage = _Stage(task.run, task.folder, CLASSIFIER_STAGE, report)
    with stage.watched():
        net = fit_classifier(
            expansion,
            settings,
            task.stream,
            stage.resume(),
            stage.after_epoch,
            validate if curve else None,
            task.init,
            rate_cuts(task.folder),
        )
    save_weights(task.folder / CLASSIFIER, net)
    files = [CLASSIFIER]
    if task.validation:
        answers = probabilities(for_inference(net, settings.net), task.validation.images, device)
        atomic.write(task.folder / ANSWERS, npz(validation=answers))
        files.append(ANSWERS)
    finish(task.folder, files, {"format": FORMAT})
    stage.path.unlink(missing_ok=True)


def trained(folder: Path) -> bool:
    """Whether a task is done: every file of its result as it was then, and of a format that this version reads."""
    done = finished(folder)
    return done is not None and done.get("format") == FORMAT


def collapsed(folder: Path, cgan: Cgan) -> bool:
    """Whether a fitted generator's digits of a class differ too little."""
    done = finished(folder)
    return done is not None and done["variety"] < cgan.least_variety


def prepare(run: RunFolder, folder: Path, stage: str, outline: Mapping[str, nn.Module]) -> str | None:
    """Drop what a task can't go on from, and cut its lines in the epochs' log back to what its checkpoint covers.

    `outline` is what a checkpoint must hold. Gives a sentence where something was there and the task starts anew
    all the same. Only while no task is running.
    """
    path = _checkpoint(folder, stage)
    if trained(folder):
        path.unlink(missing_ok=True)  # a kill may have come between the result and this
        return None
    why_anew = None
    if (folder / DONE).exists():
        why_anew = "its result was changed or removed since, or was written by another version of tenfold"
        (folder / DONE).unlink()
    state = None
    try:
        state = checkpoint.load(path)
        if state and not state.fits(outline):
            raise Unusable("is of other nets")
    except Unusable as reason:
        why_anew, state = f"its checkpoint {reason}", None
        path.unlink()
    run.forget_epochs_after(folder.name, stage, state.epochs_done if state else 0)
    return f"{folder.name} starts anew: {why_anew}" if why_anew and not state else None


def order_rate_cut(folder: Path, factor: float) -> bool:
    """Let a task whose loss became no number go on with smaller learning rates; False where it is not such a one."""
    try:
        epoch = json.loads((folder / DIVERGED).read_text("utf-8"))["epochs_done"]
    except FileNotFoundError:
        return False
    cuts = [*rate_cuts(folder), RateCut(epoch, factor)]
    atomic.write(folder / RATE_CUTS, json.dumps([asdict(cut) for cut in cuts]).encode())
    (folder / DIVERGED).unlink()
    return True


def rate_cuts(folder: Path) -> tuple[RateCut, ...]:
    """What was ordered for a task so far. Raises BadInput where its record is damaged."""
    path = folder / RATE_CUTS
    try:
        return tuple(RateCut(**entry) for entry in json.loads(path.read_text("utf-8")))
    except FileNotFoundError:
        return ()
    except (OSError, ValueError, TypeError) as error:
        raise BadInput(f"{path}: can't be read ({error}); start the run afresh with --fresh") from error


def _checkpoint(folder: Path, stage: str) -> Path:
    return folder / f"{stage}.checkpoint.safetensors"


class _Stage:
    """Where one task logs its epochs, keeps its checkpoint, and notes that its loss became no number."""

    def __init__(self, run: RunFolder, folder: Path, name: str, report: Report) -> None:
        self.run, self.folder, self.name, self.report = run, folder, name, report
        self.path = _checkpoint(folder, name)
        self.last = time.monotonic()
        self.epochs_done = 0

    @contextmanager
    def watched(self) -> Iterator[None]:
        try:
            yield
        except Diverged:
            atomic.write(self.folder / DIVERGED, json.dumps({"epochs_done": self.epochs_done}).encode())
            raise

    def resume(self) -> Checkpoint | None:
        found = checkpoint.load(self.path)
        self.epochs_done = found.epochs_done if found else 0
        return found

    def after_epoch(self, record: dict[str, Any], state: Checkpoint) -> None:
        now = time.monotonic()
        line = {"task": self.folder.name, "stage": self.name, **record}
        line |= {"seconds": round(now - self.last, 3), "ended": round(time.time(), 3)}
        self.last = now
        # First the log, then the checkpoint: a kill in between leaves a line too many, which the next start cuts.
        self.run.append_epoch(line)
        checkpoint.save(self.path, state)
        self.epochs_done = state.epochs_done
        self.report(line)
