"""A run's folder: the name of every file in it.

runs/<name>/
    settings.toml, environment.json, data.json    what was requested, on what machine, with which digits
    metrics.jsonl                                 one line per epoch of every training
    fold-0-net-0/, ..., light/                    one folder per classifier: weights, predictions, done.json
    fold-0-generator/, ..., generator/            one folder per generator: weights, grids, done.json
    cas-0/, ...                                   one folder per net that scores the final generator
    oof.npz, test_probabilities.npz, pictures.npz, metrics.json, done.json
    submission.csv, report.html, *.onnx
"""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import dacite
import tomli_w

from tenfold.errors import BadInput
from tenfold.settings import Settings, from_table, to_table
from tenfold.storage import atomic
from tenfold.storage.epoch_log import EpochLog

SETTINGS: Final = "settings.toml"
ENVIRONMENT: Final = "environment.json"
DATA: Final = "data.json"
METRICS: Final = "metrics.json"
OOF: Final = "oof.npz"
TEST_PROBABILITIES: Final = "test_probabilities.npz"
SUBMISSION: Final = "submission.csv"
PICTURES: Final = "pictures.npz"
REPORT: Final = "report.html"
TENSORBOARD: Final = "tensorboard"
GENERATOR_SCORES: Final = "generator.json"

# In the folder of one training.
CLASSIFIER: Final = "classifier.safetensors"
DOUBT: Final = "doubt.safetensors"
GENERATOR: Final = "generator.safetensors"
VALIDATION: Final = "answers.npz"  # probabilities of the validation digits
DIVERGED: Final = "diverged.json"
RATE_CUTS: Final = "rate_cuts.json"
GRIDS: Final = "grids"  # one picture of generated digits per epoch

PATHS: Final = "surrogateescape"  # how Python holds a path whose bytes are not UTF-8, so that it comes back as it was

Record = TypeVar("Record")


@dataclass(frozen=True)
class RunFolder:
    """Where a run writes."""

    path: Path

    def net(self, fold: int, net: int) -> Path:
        """The folder of one of a fold's nets."""
        return self.path / f"fold-{fold}-net-{net}"

    def fold_generator(self, fold: int) -> Path:
        """The folder of a fold's generator."""
        return self.path / f"fold-{fold}-generator"

    @property
    def reserve_generator(self) -> Path:
        """The folder of the one generator for all folds, fitted on the reserve if there is one."""
        return self.path / "reserve-generator"

    def cas(self, seed: int) -> Path:
        """The folder of a net that learns from the final generator's digits alone, to score them."""
        return self.path / f"cas-{seed}"

    @property
    def light(self) -> Path:
        """The folder of the light net, which is fitted on all training digits."""
        return self.path / "light"

    @property
    def generator(self) -> Path:
        """The folder of the final generator, which is fitted on all training digits."""
        return self.path / "generator"

    @property
    def epoch_log(self) -> EpochLog:
        """The log of all trainings' epochs."""
        return EpochLog(self.path)

    def write_json(self, name: str, value: Any) -> None:
        """Write a plain value."""
        atomic.write(self.path / name, plain_json(value))

    def read_json(self, name: str) -> Any:
        """The inverse of `write_json`. Raises BadInput where the file is missing or damaged."""
        try:
            return json.loads((self.path / name).read_text("utf-8", PATHS))
        except (OSError, ValueError, RecursionError) as error:
            raise BadInput(
                f"{self.path / name}: can't be read ({error}); "
                "give the folder of a finished run, or repeat the `tenfold run` that wrote it"
            ) from error

    def read_record(self, name: str, kind: type[Record]) -> Record:
        """A frozen dataclass from its JSON. Raises BadInput where it is missing, damaged or of another version."""
        return parse_record(kind, self.read_json(name), self.path / name)

    def settings(self) -> Settings:
        """What the run was asked to do. Raises BadInput where this is not the folder of a run."""
        path = self.path / SETTINGS
        try:
            return from_table(tomllib.loads(path.read_text("utf-8", PATHS)))
        except (FileNotFoundError, NotADirectoryError) as error:
            what = f"no {SETTINGS} in it, so not a run" if self.path.is_dir() else "there is no such folder"
            raise BadInput(f"{self.path}: {what}; give the folder of a run") from error
        except (OSError, ValueError, RecursionError) as error:
            raise BadInput(f"{path}: can't be read as settings ({error}); start over with --fresh") from error


def parse_record(kind: type[Record], table: Any, path: Path) -> Record:
    """A frozen dataclass from plain values that were read at `path`. Raises BadInput where they don't fit."""
    try:
        return dacite.from_dict(kind, table, dacite.Config(cast=[tuple], type_hooks={float: _as_float}))
    except (dacite.DaciteError, ValueError, TypeError, AttributeError, OverflowError) as error:
        reason = " ".join(str(error).split())
        raise BadInput(
            f"{path}: not as this version of tenfold writes it ({reason}); repeat the run with `tenfold run --fresh`"
        ) from error


def _as_float(value: Any) -> Any:
    """An integer as a float; anything else as it is, for the type check."""
    return float(value) if type(value) is int else value


def plain_json(value: Any) -> bytes:
    """A plain value as the bytes of a JSON file that people can read too."""
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode("utf-8", PATHS)


def settings_toml(settings: Settings) -> bytes:
    """Settings as the bytes of a TOML file."""
    return tomli_w.dumps(to_table(settings)).encode("utf-8", PATHS)
