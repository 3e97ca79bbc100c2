"""Which trainings a run consists of, and which of them are left to do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tenfold import cgan_fit, fit, pool
from tenfold.digits import Digits
from tenfold.draws import ALL_DIGITS, Stream
from tenfold.errors import BadInput
from tenfold.folder import RunFolder
from tenfold.inherit import Parent
from tenfold.progress import Planned
from tenfold.settings import Net, Settings
from tenfold.tasks import (
    CGAN_STAGE,
    CLASSIFIER_STAGE,
    ClassifierTask,
    GeneratorTask,
    fit_classifier_task,
    fit_generator_task,
    made_ready,
    trained,
)


@dataclass(frozen=True)
class Plan:
    """The trainings of one run, in two rounds: a fold's nets are shown the digits of its generator."""

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
        """The folder of every training."""
        return [*self._fold_generators(), *self._fold_nets(), self.folder.light, self.folder.generator]

    def _fold_generators(self) -> list[Path]:
        return [self.folder.fold_generator(fold) for fold in self._folds if self._expands]

    def _fold_nets(self) -> list[Path]:
        return [self.folder.net(fold, net) for fold, net in product(self._folds, range(self.settings.nets))]

    def done(self) -> bool:
        """Whether nothing is left, every file of every training being as it was when the training was done."""
        return all(trained(place) for place in self.places())

    def made_ready(self) -> list[str]:
        """Have every training that is left go on from what is whole; a sentence for each that starts anew."""
        settings = self.settings
        players, nets = cgan_fit.outline(settings.cgan), fit.outline(settings.net)
        said = [made_ready(self.folder, place, CGAN_STAGE, players) for place in self._fold_generators()]
        said += [made_ready(self.folder, place, CLASSIFIER_STAGE, nets) for place in self._fold_nets()]
        said.append(made_ready(self.folder, self.folder.light, CLASSIFIER_STAGE, fit.outline(light(settings).net)))
        said.append(made_ready(self.folder, self.folder.generator, CGAN_STAGE, players))
        return [sentence for sentence in said if sentence]

    def _wanted(self, name: str) -> bool:
        return self.only is None or name in self.only

    def _left(self, place: Path) -> bool:
        return self._wanted(place.name) and not trained(place)

    def require_full_batches(self, fold_of: npt.NDArray[np.int64]) -> None:
        """Raise BadInput where a batch holds more digits than a fold trains on."""
        fewest = len(fold_of) - int(np.bincount(fold_of).max())
        for name, size in (
            ("fit.batch-size", self.settings.fit.batch_size),
            ("cgan.batch-size", self.settings.cgan.batch_size),
        ):
            if size > fewest:
                raise BadInput(f"{name}: is {size} where a fold trains on {fewest:,} digits; ask for no more than that")

    def first_round(self, digits: Digits, fold_of: npt.NDArray[np.int64]) -> Iterator[pool.Task]:
        """What is left of the folds' generators, each fitted on what its fold trains on."""
        for fold in self._folds:
            place = self.folder.fold_generator(fold)
            if self._expands and self._left(place):
                yield self._generator(place, Stream(self.settings.seed, fold), digits.take(fold_of != fold))

    def second_round(
        self, digits: Digits, fold_of: npt.NDArray[np.int64], parent: Parent | None
    ) -> Iterator[pool.Task]:
        """What is left of the folds' nets, and of what is fitted on all digits: the light net, the generator."""
        for fold, net in product(self._folds, range(self.settings.nets)):
            place = self.folder.net(fold, net)
            if self._left(place):
                argument = ClassifierTask(
                    self.settings,
                    Stream(self.settings.seed, fold, net),
                    train=digits.take(fold_of != fold),
                    validation=digits.take(fold_of == fold),
                    generator=self.folder.fold_generator(fold).name if self._expands else None,
                    init=parent.net(fold, net) if parent else None,
                    name=place.name,
                    run=self.folder,
                )
                yield pool.Task(place.name, fit_classifier_task, argument)
        if self._left(self.folder.light):
            argument = ClassifierTask(
                light(self.settings),
                Stream(self.settings.seed, ALL_DIGITS),
                train=digits,
                validation=None,
                generator=None,  # the one that ships is used for nothing else
                init=parent.light if parent else None,
                name=self.folder.light.name,
                run=self.folder,
            )
            yield pool.Task(self.folder.light.name, fit_classifier_task, argument)
        if self._left(self.folder.generator):
            yield self._generator(self.folder.generator, Stream(self.settings.seed, ALL_DIGITS), digits)

    def planned(self) -> list[Planned]:
        """The wanted trainings with their epochs, for a forecast."""
        settings = self.settings
        every = [
            *(Planned(place.name, "fold generator", settings.cgan.epochs) for place in self._fold_generators()),
            *(Planned(place.name, "net", settings.fit.epochs) for place in self._fold_nets()),
            Planned(self.folder.light.name, "light", settings.light.epochs),
            Planned(self.folder.generator.name, "generator", settings.cgan.epochs),
        ]
        return [training for training in every if self._wanted(training.name)]

    def _generator(self, place: Path, stream: Stream, train: Digits) -> pool.Task:
        argument = GeneratorTask(self.settings, stream, train, place.name, self.folder)
        return pool.Task(place.name, fit_generator_task, argument)


def light(settings: Settings) -> Settings:
    """The settings under which the light net is fitted."""
    net = Net(settings.light.channels, tta_shift_px=0)
    return replace(settings, net=net, fit=replace(settings.fit, epochs=settings.light.epochs))
