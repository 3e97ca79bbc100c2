"""Which trainings a run consists of, and which of them are left to do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import torch

from tenfold.data.digits import Digits
from tenfold.data.folds import NOT_VALIDATED
from tenfold.errors import BadInput
from tenfold.models.inference import sampler
from tenfold.models.weights import GENERATOR, load_generator
from tenfold.orchestration import pool
from tenfold.orchestration.progress import Planned
from tenfold.orchestration.warm_start import Parent
from tenfold.seeds import ALL_DIGITS, RESERVE, SeedStream
from tenfold.settings import CAS_EPOCHS, Settings, final_generator_settings, light_settings, scoring_settings
from tenfold.storage.run_folder import RunFolder
from tenfold.training import fit_classifier, fit_generator
from tenfold.training.tasks import (
    CGAN_STAGE,
    CLASSIFIER_STAGE,
    ClassifierTask,
    GeneratorTask,
    collapsed,
    fit_classifier_task,
    fit_generator_task,
    prepare,
    trained,
)

CAS_DIGITS: Final = 42_000  # as many as the competition has to train on, balanced


@dataclass(frozen=True)
class Plan:
    """The trainings of one run, in three rounds.

    A fold's nets are shown the digits of its generator, and the generator that ships is scored once it is fitted.
    """

    settings: Settings
    folder: RunFolder
    only: frozenset[str] | None = None  # names of the trainings to do here; None for all

    @property
    def _expands(self) -> bool:
        return self.settings.cgan.share > 0

    @property
    def _folds(self) -> range:
        return range(self.settings.folds)

    def places(self) -> list[Path]:
        """The folder of every training of the first two rounds."""
        return [*self._fold_generators(), self.folder.generator, *self._fold_nets(), self.folder.light]

    def _fold_generators(self) -> list[Path]:
        """Of the generators whose digits the folds' nets are shown."""
        return list(dict.fromkeys(expanding(self.settings, self.folder, fold) for fold in self._folds if self._expands))

    def _fold_nets(self) -> list[Path]:
        return [self.folder.net(fold, net) for fold, net in product(self._folds, range(self.settings.nets))]

    def done(self) -> bool:
        """Whether nothing is left, every file of every training being as it was when the training was done."""
        return all(trained(place) for place in self.places())

    def made_ready(self) -> list[str]:
        """Have every training that is left go on from what is whole; a sentence for each that starts anew."""
        settings = self.settings
        players, nets = fit_generator.outline(settings.cgan), fit_classifier.outline(settings.net)
        said = [prepare(self.folder, place, CGAN_STAGE, players) for place in self._fold_generators()]
        said += [prepare(self.folder, place, CLASSIFIER_STAGE, nets) for place in self._fold_nets()]
        said.append(
            prepare(
                self.folder, self.folder.light, CLASSIFIER_STAGE, fit_classifier.outline(light_settings(settings).net)
            )
        )
        said.append(prepare(self.folder, self.folder.generator, CGAN_STAGE, players))
        scorer = fit_classifier.outline(scoring_settings(settings).net)
        said += [prepare(self.folder, place, CLASSIFIER_STAGE, scorer) for place in self._scorers()]
        return [sentence for sentence in said if sentence]

    def _wanted(self, name: str) -> bool:
        return self.only is None or name in self.only

    def _left(self, place: Path) -> bool:
        return self._wanted(place.name) and not trained(place)

    def require_full_batches(self, fold_of: npt.NDArray[np.int64]) -> None:
        """Raise BadInput where a batch holds more digits than there are to train on."""
        settings = self.settings
        in_a_fold = len(fold_of) - int(np.bincount(fold_of[fold_of != NOT_VALIDATED]).max())
        for name, size in (("fit.batch-size", settings.fit.batch_size), ("cgan.batch-size", settings.cgan.batch_size)):
            if size > in_a_fold:
                raise BadInput(
                    f"{name}: is {size} where a fold trains on {in_a_fold:,} digits; ask for no more than that"
                )
        reserved = int((fold_of == NOT_VALIDATED).sum())
        if settings.cgan.reserve and settings.cgan.batch_size > reserved:
            raise BadInput(
                f"cgan.batch-size: is {settings.cgan.batch_size} where the reserve holds {reserved:,} digits; "
                "ask for no more than that, or for a larger --cgan.reserve"
            )

    def first_round(self, digits: Digits, fold_of: npt.NDArray[np.int64]) -> Iterator[pool.Task]:
        """What is left of the folds' generators, each fitted on what its fold trains on, or on the reserve."""
        if self.settings.cgan.reserve:
            place = self.folder.reserve_generator
            if self._left(place):
                reserved = digits.take(fold_of == NOT_VALIDATED)
                yield self._generator(place, self.settings, SeedStream(self.settings.seed, RESERVE), reserved)
            return
        for fold in self._folds:
            place = self.folder.fold_generator(fold)
            if self._expands and self._left(place):
                train = digits.take(fold_of != fold)
                yield self._generator(place, self.settings, SeedStream(self.settings.seed, fold), train)

    def collapsed(self) -> list[str]:
        """The names of the generators that have collapsed; those of the folds are used for nothing."""
        every = (*self._fold_generators(), self.folder.generator)
        return [place.name for place in every if collapsed(place, self.settings.cgan)]

    def second_round(
        self, digits: Digits, fold_of: npt.NDArray[np.int64], parent: Parent | None
    ) -> Iterator[pool.Task]:
        """What is left of the generator that ships, of the folds' nets and of the light net.

        The generator takes longest, so it comes first. The light net, which in `best` is the shortest, comes last:
        it fills a worker's time beside the last of the folds' nets.
        """
        if self._left(self.folder.generator):
            stream = SeedStream(self.settings.seed, ALL_DIGITS)
            yield self._generator(self.folder.generator, final_generator_settings(self.settings), stream, digits)
        for fold, net in product(self._folds, range(self.settings.nets)):
            place = self.folder.net(fold, net)
            if self._left(place):
                argument = ClassifierTask(
                    self.settings,
                    SeedStream(self.settings.seed, fold, net),
                    train=digits.take(fold_of != fold),
                    validation=digits.take(fold_of == fold),
                    generator=self._shown(fold),
                    init=parent.net(fold, net) if parent else None,
                    name=place.name,
                    run=self.folder,
                )
                yield pool.Task(place.name, fit_classifier_task, argument)
        if self._left(self.folder.light):
            argument = ClassifierTask(
                light_settings(self.settings),
                SeedStream(self.settings.seed, ALL_DIGITS),
                train=digits,
                validation=None,
                generator=None,  # the one that ships is used for nothing else
                init=parent.light if parent else None,
                name=self.folder.light.name,
                run=self.folder,
            )
            yield pool.Task(self.folder.light.name, fit_classifier_task, argument)

    def third_round(self, test: Digits, n: int = CAS_DIGITS) -> Iterator[pool.Task]:
        """What is left of the nets that score the generator: each learns from `n` of its digits and reads the test's.

        `test` is labelled, for the record alone.
        """
        for seed, place in enumerate(self._scorers()):
            if not trained(place):
                stream = SeedStream(self.settings.seed, ALL_DIGITS, seed)
                drawn = self._drawn(stream, n)
                argument = ClassifierTask(
                    scoring_settings(self.settings), stream, drawn, test, None, None, place.name, self.folder
                )
                yield pool.Task(place.name, fit_classifier_task, argument)

    def _scorers(self) -> list[Path]:
        return [self.folder.cas(seed) for seed in range(self.settings.cgan.cas_seeds)]

    def _drawn(self, stream: SeedStream, n: int) -> Digits:
        """`n` digits of the generator that ships, as many of each class."""
        cgan = self.settings.cgan
        sample = sampler(load_generator(self.folder.generator / GENERATOR, cgan), cgan.z_dim)
        labels = torch.arange(n) % 10
        images = sample(labels, torch.Generator().manual_seed(stream.seed_of("cas")))
        return Digits.of("generated", images.numpy(), labels.numpy())

    def _shown(self, fold: int) -> str | None:
        """The name of the generator whose digits a fold's nets are shown."""
        if not self._expands:
            return None
        place = expanding(self.settings, self.folder, fold)
        return None if collapsed(place, self.settings.cgan) else place.name

    def planned(self) -> list[Planned]:
        """The wanted trainings with their epochs, for a forecast."""
        settings = self.settings
        every = [
            *(Planned(place.name, "fold generator", settings.cgan.epochs) for place in self._fold_generators()),
            *(Planned(place.name, "net", settings.fit.epochs) for place in self._fold_nets()),
            Planned(self.folder.light.name, "light", settings.light.epochs),
            Planned(self.folder.generator.name, "generator", settings.generator.epochs),
            *(Planned(place.name, "scorer", CAS_EPOCHS) for place in self._scorers()),
        ]
        return [training for training in every if self._wanted(training.name)]

    def _generator(self, place: Path, settings: Settings, stream: SeedStream, train: Digits) -> pool.Task:
        argument = GeneratorTask(settings, stream, train, place.name, self.folder)
        return pool.Task(place.name, fit_generator_task, argument)


def expanding(settings: Settings, folder: RunFolder, fold: int) -> Path:
    """The folder of the generator whose digits a fold's nets are shown, where settings ask for any."""
    return folder.reserve_generator if settings.cgan.reserve else folder.fold_generator(fold)
