"""Whether a light net reads better when an ensemble teaches it: what the ensemble says of generated digits, or of all.

Of each fold that is asked, the ensemble, its generator and the light nets see the training part alone; what the
fold holds out says what each is worth. After G. Hinton et al., "Distilling the knowledge in a neural network", 2015.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from benchmarks.scores import kaggle
from torch import Tensor, nn

from tenfold.data import folds
from tenfold.data.batches import Expansion, Generated, Predict
from tenfold.data.digits import Digits
from tenfold.models.inference import probabilities, sampler
from tenfold.models.weights import load_classifier, load_generator, save_weights
from tenfold.orchestration import pool
from tenfold.seeds import SeedStream
from tenfold.settings import Cgan, Compute, Fit, Net, Settings
from tenfold.storage import atomic
from tenfold.storage.npz import npz, read_npz
from tenfold.training.device import prepare_process, resolve
from tenfold.training.fit_classifier import fit_classifier
from tenfold.training.fit_generator import fit_generator

FOLDS: Final = 5
TEACHERS: Final = 3
SHARE: Final = 0.25  # of generated digits in a batch
LABELS: Final = "labels"
OF_GENERATED: Final = "generated digits beside them, with what the ensemble says"
OF_ALL: Final = "what the ensemble says of every warped digit"
LESSONS: Final = (LABELS, OF_GENERATED, OF_ALL)


@dataclass(frozen=True)
class OfGenerated(Expansion):
    """The ensemble's answers are learnt for generated digits."""

    teacher: Predict | None = None

    def generated(self, draws: torch.Generator, opinion: Predict | None = None) -> Generated:
        """An epoch's generated digits, with the teacher's answers."""
        return super().generated(draws, self.teacher)


@dataclass(frozen=True)
class OfAll(Expansion):
    """The ensemble's answers are learnt for every digit as it is shown."""

    teacher: Predict | None = None

    def batches(self, generated: Generated, draws: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        """An epoch's batches, with the teacher's answers."""
        assert self.teacher
        for images, _ in super().batches(generated, draws):
            yield images, self.teacher(images)


@dataclass(frozen=True)
class Part:
    """A training of one fold."""

    fold: int
    index: int  # among the teachers, or among the lessons
    train: Digits
    held_out: Digits
    settings: Settings
    keep: Path

    def place(self, name: str) -> Path:
        """Where something of the fold lies."""
        return self.keep / f"fold-{self.fold}-{name}"


def measure(asked: int, net: Net, fit: Fit, cgan: Cgan, keep: Path, data: Path) -> dict[str, Any]:
    """Which of the rows that the first `asked` of five folds hold out are read wrong, fold by fold, by lesson.

    What is trained is stored in `keep` as it comes, and is not trained again.
    """
    train, _, _ = kaggle(data)
    keep.mkdir(parents=True, exist_ok=True)  # before any training takes its minutes
    fold_of = folds.stratified(train, FOLDS, seed=0)
    compute = resolve(Compute(threads=1), 2**20)
    settings = Settings(net=net, fit=fit, cgan=cgan, compute=compute)
    its_parts = parts(asked, train, fold_of, settings, keep)
    for tasks in (teaching(its_parts), lessons(its_parts)):
        pool.run_all(tasks, compute.workers, lambda line: print(line, flush=True))
    wrong: dict[str, list[int]] = {}
    asked_so_far = 0
    for part in its_parts:
        teachers = [_read(part, f"teacher-{index}.npz") for index in range(TEACHERS)]
        said = {"one teacher": teachers[0], f"all {TEACHERS}": np.sum(teachers, 0)}
        said |= {lesson: _read(part, f"lesson-{index}.npz") for index, lesson in enumerate(LESSONS)}
        for name, answers in said.items():
            missed = np.flatnonzero(answers.argmax(1) != part.held_out.known_labels())
            wrong.setdefault(name, []).extend((asked_so_far + missed).tolist())
        asked_so_far += len(part.held_out)
    return {
        "net": list(net.channels),
        "epochs": fit.epochs,
        "cgan_epochs": cgan.epochs,
        "share": SHARE,
        "rows": asked_so_far,
        "wrong": wrong,
    }


def parts(asked: int, train: Digits, fold_of: npt.NDArray[np.int64], settings: Settings, keep: Path) -> list[Part]:
    """The first `asked` folds."""
    return [
        Part(fold, 0, train.take(fold_of != fold), train.take(fold_of == fold), settings, keep) for fold in range(asked)
    ]


def teaching(of: list[Part]) -> Iterator[pool.Task]:
    """The generators and teachers that are missing."""
    for part in of:
        if not part.place("generator.safetensors").exists():
            yield pool.Task(f"generator of fold {part.fold}", _fit_generator, part)
        for index in range(TEACHERS):
            if not part.place(f"teacher-{index}.npz").exists():
                yield pool.Task(f"teacher {index} of fold {part.fold}", _fit_teacher, replace(part, index=index))


def lessons(of: list[Part]) -> Iterator[pool.Task]:
    """The taught nets that are missing; their teachers are there."""
    for part in of:
        for index, lesson in enumerate(LESSONS):
            if not part.place(f"lesson-{index}.npz").exists():
                yield pool.Task(f"fold {part.fold}, {lesson}", _fit_lesson, replace(part, index=index))


def _fit_generator(its: Part, report: Callable[[dict[str, Any]], None]) -> None:
    images, labels, _ = _ready(its)
    generator = fit_generator(images, labels, its.settings, SeedStream(0, its.fold), None, lambda *_: None)
    save_weights(its.place("generator.safetensors"), generator)
    report({"fold": its.fold, "generator": "fitted"})


def _fit_teacher(its: Part, report: Callable[[dict[str, Any]], None]) -> None:
    images, labels, _ = _ready(its)
    net = _fitted(Expansion(images, labels, *_shown(its.settings)), its, its.settings, its.index)
    save_weights(its.place(f"teacher-{its.index}.safetensors"), net)
    _answer(net, its, f"teacher-{its.index}.npz", report)


def _fit_lesson(its: Part, report: Callable[[dict[str, Any]], None]) -> None:
    images, labels, device = _ready(its)
    settings, shown = its.settings, _shown(its.settings)
    paths = [its.place(f"teacher-{index}.safetensors") for index in range(TEACHERS)]
    teachers = [load_classifier(path, settings.net).to(device).to(memory_format=torch.channels_last) for path in paths]
    expansion = Expansion(images, labels, *shown)
    if LESSONS[its.index] == OF_GENERATED:
        generator = load_generator(its.place("generator.safetensors"), settings.cgan).to(device)
        sample, teacher = sampler(generator, settings.cgan.z_dim), of_bytes(teachers)
        expansion = OfGenerated(images, labels, *shown, SHARE, sample, soft_labels=True, teacher=teacher)
    if LESSONS[its.index] == OF_ALL:
        settings = replace(settings, fit=replace(settings.fit, label_smoothing=0.0))  # the teachers were smoothed
        expansion = OfAll(images, labels, *shown, teacher=of_floats(teachers))
    net = _fitted(expansion, its, settings, TEACHERS)  # a net of its own beside the teachers, the same in each lesson
    _answer(net, its, f"lesson-{its.index}.npz", report)


def _ready(its: Part) -> tuple[Tensor, Tensor, torch.device]:
    device = prepare_process(its.settings.compute)
    train = its.train
    return torch.from_numpy(train.images).to(device), torch.from_numpy(train.known_labels()).to(device), device


def _shown(settings: Settings) -> tuple[Any, int, int]:
    return settings.warp, settings.fit.batch_size, settings.fit.epoch_images


def _fitted(expansion: Expansion, its: Part, settings: Settings, net: int) -> nn.Module:
    return fit_classifier(expansion, settings, SeedStream(0, its.fold, net), None, lambda *_: None)


def of_floats(nets: list[nn.Module]) -> Predict:
    """What the nets say of images float (N, 1, 28, 28) in [0, 1], mean probabilities."""

    @torch.no_grad()
    def opinion(images: Tensor) -> Tensor:
        images = images.contiguous(memory_format=torch.channels_last)
        return torch.stack([net(images).softmax(1) for net in nets]).mean(0)

    return opinion


def of_bytes(nets: list[nn.Module]) -> Predict:
    """The same of images uint8 (N, 28, 28)."""
    mean = of_floats(nets)
    return lambda images: torch.cat([mean(part.unsqueeze(1).float().div(255)) for part in images.split(500)])


def _answer(net: nn.Module, its: Part, name: str, report: Callable[[dict[str, Any]], None]) -> None:
    said = probabilities(net, its.held_out.images, next(net.parameters()).device)
    atomic.write(its.place(name), npz(said=said))
    wrong = int((said.argmax(1) != its.held_out.known_labels()).sum())
    report({"fold": its.fold, "of": name, "errors": wrong, "rows": len(said)})


def _read(its: Part, name: str) -> npt.NDArray[np.float32]:
    return read_npz(its.place(name), ["said"], "remove it, and it is measured anew")["said"]
