"""Which trainings a run consists of, and which of them remain."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from tenfold.data.digits import Digits
from tenfold.data.folds import NOT_VALIDATED
from tenfold.errors import BadInput
from tenfold.models.inference import sampler
from tenfold.models.weights import load_generator
from tenfold.orchestration.forecast import Planned
from tenfold.orchestration.pool import Task
from tenfold.orchestration.warm_start import Parent
from tenfold.seeds import ALL_DIGITS, RESERVE, SeedStream
from tenfold.settings import CAS_EPOCHS, Cgan, Settings
from tenfold.storage.epoch_log import Stage
from tenfold.storage.run_folder import GENERATOR, RunFolder
from tenfold.training import fit_classifier, fit_generator
from tenfold.training.task_folder import has_collapsed, is_trained, prepare
from tenfold.training.tasks import ClassifierTask, GeneratorTask, fit_classifier_task, fit_generator_task

CAS_DIGITS: Final = 42_000  # as many as the competition has to train on, balanced


@dataclass(frozen=True)
class Plan:
    """The trainings of one run, in three rounds, each of which needs the one before.

    First the folds' generators, then all nets and the final generator, then the nets that score the final generator.
    """

    settings: Settings
    folder: RunFolder
    only: frozenset[str] | None = None  # names of the trainings to do here; None for all

    def folders(self) -> list[Path]:
        """The folder of every training of the first two rounds."""
        return [*self._fold_generators(), self.folder.generator, *self._fold_nets(), self.folder.light]

    def is_done(self) -> bool:
        """Whether nothing remains and every file of every training is unchanged."""
        return all(is_trained(folder) for folder in self.folders())

    def prepare(self) -> list[str]:
        """Let unfinished trainings resume from what is intact; a sentence for each that restarts."""
        settings = self.settings
        gan = fit_generator.outline(settings.cgan)
        net, light = fit_classifier.outline(settings.net), fit_classifier.outline(settings.light_net)
        outlines: list[tuple[Stage, Path, dict[str, nn.Module]]] = [
            *(("cgan", folder, gan) for folder in (*self._fold_generators(), self.folder.generator)),
            *(("classifier", folder, net) for folder in self._fold_nets()),
            *(("classifier", folder, light) for folder in (self.folder.light, *self._scorers())),
        ]
        sentences = [prepare(self.folder, folder, stage, outline) for stage, folder, outline in outlines]
        return [sentence for sentence in sentences if sentence]

    def require_full_batches(self, fold_of: npt.NDArray[np.int64]) -> None:
        """Raise BadInput where a batch would hold more digits than there are to train on."""
        fit, cgan = self.settings.fit, self.settings.cgan
        fold_rows = len(fold_of) - int(np.bincount(fold_of[fold_of != NOT_VALIDATED]).max())
        for name, size in (("fit.batch-size", fit.batch_size), ("cgan.batch-size", cgan.batch_size)):
            if size > fold_rows:
                raise BadInput(f"{name}: must be at most {fold_rows:,}, the digits that a fold trains on, got {size}")
        reserved = int((fold_of == NOT_VALIDATED).sum())
        if cgan.reserve and cgan.batch_size > reserved:
            raise BadInput(
                f"cgan.batch-size: must be at most {reserved:,}, the digits in the reserve, got {cgan.batch_size}; "
                "lower it or raise --cgan.reserve"
            )

    def fold_generator_tasks(self, digits: Digits, fold_of: npt.NDArray[np.int64]) -> Iterator[Task]:
        """First round: the folds' generators, each fitted on what its fold trains on, or one on the reserve."""
        seed, cgan = self.settings.seed, self.settings.cgan
        parts = [(self.folder.fold_generator(fold), SeedStream(seed, fold), fold_of != fold) for fold in self._folds]
        if cgan.reserve:
            parts = [(self.folder.reserve_generator, SeedStream(seed, RESERVE), fold_of == NOT_VALIDATED)]
        for folder, seeds, rows in parts if cgan.share else ():
            if self._remains(folder):
                yield self._generator_task(folder, cgan, seeds, digits.take(rows))

    def net_tasks(self, digits: Digits, fold_of: npt.NDArray[np.int64], parent: Parent | None) -> Iterator[Task]:
        """Second round: the final generator, the folds' nets, the light net.

        The generator takes longest, so it comes first. The light net, the shortest in `best`, comes last: it fills
        one worker's time while another fits the last of the folds' nets.
        """
        settings = self.settings
        if self._remains(self.folder.generator):
            seeds = SeedStream(settings.seed, ALL_DIGITS)
            yield self._generator_task(self.folder.generator, settings.final_cgan, seeds, digits)
        for fold, net in product(self._folds, range(settings.nets)):
            folder = self.folder.net(fold, net)
            if self._remains(folder):
                task = ClassifierTask(
                    name=folder.name,
                    run=self.folder,
                    seeds=SeedStream(settings.seed, fold, net),
                    compute=settings.compute,
                    cgan=settings.cgan,
                    train=digits.take(fold_of != fold),
                    net=settings.net,
                    fit=settings.fit,
                    warp=settings.warp,
                    validation=digits.take(fold_of == fold),
                    generator=self._usable_generator(fold),
                    non_digits=0.0,
                    init=parent.net(fold, net) if parent else None,
                )
                yield Task(task.name, fit_classifier_task, task)
        if self._remains(self.folder.light):
            init = parent.light if parent else None
            yield self._light_task(self.folder.light, SeedStream(settings.seed, ALL_DIGITS), digits, init=init)

    def scoring_tasks(self, test: Digits, n: int = CAS_DIGITS) -> Iterator[Task]:
        """Third round: nets that each learn from `n` digits of the final generator alone and predict the test digits.

        Yields nothing if `test` is unlabelled.
        """
        for seed, folder in enumerate(self._scorers()):
            if test.labels is not None and not is_trained(folder):
                seeds = SeedStream(self.settings.seed, ALL_DIGITS, seed)
                yield self._light_task(folder, seeds, self._generated(seeds, n), validation=test)

    def collapsed(self) -> list[str]:
        """The names of collapsed generators; a fold's goes unused."""
        generators = (*self._fold_generators(), self.folder.generator)
        return [folder.name for folder in generators if has_collapsed(folder, self.settings.cgan)]

    def planned(self) -> list[Planned]:
        """The trainings to do here with their epochs, for a forecast."""
        settings = self.settings
        every = [
            *(Planned(folder.name, "fold generator", settings.cgan.epochs) for folder in self._fold_generators()),
            *(Planned(folder.name, "net", settings.fit.epochs) for folder in self._fold_nets()),
            Planned(self.folder.light.name, "light", settings.light.epochs),
            Planned(self.folder.generator.name, "generator", settings.generator.epochs),
            *(Planned(folder.name, "scorer", CAS_EPOCHS) for folder in self._scorers()),
        ]
        return [training for training in every if self._is_included(training.name)]

    @property
    def _folds(self) -> range:
        return range(self.settings.folds)

    def _fold_generators(self) -> list[Path]:
        """Folders of the generators whose digits the folds' nets learn from."""
        folders = [generator_folder(self.settings, self.folder, fold) for fold in self._folds]
        return list(dict.fromkeys(folders)) if self.settings.cgan.share else []

    def _fold_nets(self) -> list[Path]:
        return [self.folder.net(fold, net) for fold, net in product(self._folds, range(self.settings.nets))]

    def _scorers(self) -> list[Path]:
        return [self.folder.cas(seed) for seed in range(self.settings.cgan.cas_seeds)]

    def _is_included(self, name: str) -> bool:
        return self.only is None or name in self.only

    def _remains(self, folder: Path) -> bool:
        return self._is_included(folder.name) and not is_trained(folder)

    def _usable_generator(self, fold: int) -> str | None:
        """The generator whose digits a fold's nets learn from; None if there is none or it has collapsed."""
        if not self.settings.cgan.share:
            return None
        folder = generator_folder(self.settings, self.folder, fold)
        return None if has_collapsed(folder, self.settings.cgan) else folder.name

    def _generator_task(self, folder: Path, cgan: Cgan, seeds: SeedStream, train: Digits) -> Task:
        task = GeneratorTask(
            name=folder.name, run=self.folder, seeds=seeds, compute=self.settings.compute, cgan=cgan, train=train
        )
        return Task(task.name, fit_generator_task, task)

    def _light_task(
        self, folder: Path, seeds: SeedStream, train: Digits, validation: Digits | None = None, init: Path | None = None
    ) -> Task:
        """A light net, trained on `train` alone, without a generator."""
        settings = self.settings
        task = ClassifierTask(
            name=folder.name,
            run=self.folder,
            seeds=seeds,
            compute=settings.compute,
            cgan=settings.cgan,
            train=train,
            net=settings.light_net,
            fit=settings.scoring_fit if validation else settings.light_fit,
            warp=settings.warp,
            validation=validation,
            generator=None,
            non_digits=0.0 if validation else settings.light.non_digits,
            init=init,
        )
        return Task(task.name, fit_classifier_task, task)

    def _generated(self, seeds: SeedStream, n: int) -> Digits:
        """`n` digits of the final generator, balanced over the classes."""
        cgan = self.settings.cgan
        sample = sampler(load_generator(self.folder.generator / GENERATOR, cgan), cgan.z_dim)
        labels = torch.arange(n) % 10
        images = sample(labels, torch.Generator().manual_seed(seeds.seed_of("cas")))
        return Digits.of("generated", images.numpy(), labels.numpy())


def generator_folder(settings: Settings, folder: RunFolder, fold: int) -> Path:
    """The folder of the generator whose digits a fold's nets learn from, if the settings ask for any."""
    return folder.reserve_generator if settings.cgan.reserve else folder.fold_generator(fold)
