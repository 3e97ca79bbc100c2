"""A run's folder: what lies where in it.

runs/<name>/
    settings.toml, environment.json, data.json    what was asked for, on what, with which digits
    metrics.jsonl                                 a line an epoch, from every fold and stage
    fold-0-net-0/, ..., light/                    one folder a classifier: weights, answers, done.json
    fold-0-generator/, ..., generator/            one folder a generator: weights, grids, done.json
    cas-0/, ...                                   one folder a net that scores the generator
    oof.npz, test_probabilities.npz, pictures.npz, metrics.json, done.json
    submission.csv, report.html, models as *.onnx
"""

from __future__ import annotations

import errno
import json
import os
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tenfold.errors import BadInput
from tenfold.settings import Settings, from_table
from tenfold.storage import atomic

SETTINGS: Final = "settings.toml"
ENVIRONMENT: Final = "environment.json"
DATA: Final = "data.json"
EPOCHS: Final = "metrics.jsonl"
METRICS: Final = "metrics.json"
SCORES: Final = ("honest", "source", "cross_validation", "judge", "judge_light", "seconds")  # a run's and a blend's
MEASURED: Final = (*SCORES, "generator", "collapsed", "temperature")  # a run's
OOF: Final = "oof.npz"
TEST_PROBABILITIES: Final = "test_probabilities.npz"
SUBMISSION: Final = "submission.csv"
PICTURES: Final = "pictures.npz"
REPORT: Final = "report.html"
TENSORBOARD: Final = "tensorboard"


@dataclass(frozen=True)
class RunFolder:
    """Where a run writes. Paths only; whoever holds one may write what its task is to write."""

    path: Path

    def net(self, fold: int, net: int) -> Path:
        """The folder of one of a fold's nets."""
        return self.path / f"fold-{fold}-net-{net}"

    def fold_generator(self, fold: int) -> Path:
        """The folder of a fold's generator."""
        return self.path / f"fold-{fold}-generator"

    @property
    def reserve_generator(self) -> Path:
        """The folder of the one generator of all folds, where there is a reserve to fit it on."""
        return self.path / "reserve-generator"

    def cas(self, seed: int) -> Path:
        """The folder of a net that learns from the shipped generator's digits alone, to score them."""
        return self.path / f"cas-{seed}"

    @property
    def light(self) -> Path:
        """The folder of the light net, which is fitted on all training digits."""
        return self.path / "light"

    @property
    def generator(self) -> Path:
        """The folder of the generator that ships, which is fitted on all training digits."""
        return self.path / "generator"

    def write_json(self, name: str, value: Any) -> None:
        """Put `value` at `name`."""
        atomic.write(self.path / name, plain_json(value))

    def read_json(self, name: str) -> Any:
        """What `write_json` put there. Raises BadInput where it is missing or damaged."""
        try:
            return json.loads((self.path / name).read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise BadInput(
                f"{self.path / name}: can't be read ({error}); "
                "give the folder of a finished run, or repeat the `tenfold run` that wrote it"
            ) from error

    def metrics(self, expected: Sequence[str] = MEASURED) -> dict[str, Any]:
        """What the finished run came to. Raises BadInput where it is not finished, or is of another version."""
        found = self.read_json(METRICS)
        missing = [name for name in expected if not isinstance(found, dict) or name not in found]
        if missing:
            raise BadInput(
                f"{self.path / METRICS}: holds no {missing[0]}, so another version of tenfold wrote it; "
                "run it anew with `tenfold run --fresh`"
            )
        return found

    def settings(self) -> Settings:
        """What the run was asked to do. Raises BadInput where this is no run's folder."""
        path = self.path / SETTINGS
        try:
            return from_table(tomllib.loads(path.read_text("utf-8")))
        except (FileNotFoundError, NotADirectoryError) as error:
            raise BadInput(
                f"{self.path}: is no run's folder (no {SETTINGS} in it); give the folder of a run"
            ) from error
        except (OSError, ValueError) as error:
            raise BadInput(f"{path}: can't be read as settings ({error}); start it afresh with --fresh") from error

    def append_epoch(self, record: Mapping[str, Any]) -> None:
        """Add a line to the epochs' log; one write, so that lines of several processes don't mix."""
        line = json.dumps(record) + "\n"
        handle = os.open(self.path / EPOCHS, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        try:
            written = os.write(handle, line.encode())
        finally:
            os.close(handle)
        if written < len(line.encode()):  # which a full disk does without an error; the next start cuts the rest away
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path / EPOCHS))

    def epochs(self) -> list[dict[str, Any]]:
        """The whole lines of the epochs' log."""
        try:
            lines = (self.path / EPOCHS).read_text("utf-8", errors="replace").splitlines()
        except FileNotFoundError:
            return []
        records = []
        for line in lines:
            try:
                records.append(json.loads(line))
            except ValueError:
                continue  # a line that a kill cut short
        return records

    def forget_epochs_after(self, task: str, stage: str, epoch: int) -> None:
        """Cut the log of one stage back to what its checkpoint covers. Only while no task is running."""
        kept = [
            record
            for record in self.epochs()
            if (record["task"], record["stage"]) != (task, stage) or record["epoch"] <= epoch
        ]
        atomic.write(self.path / EPOCHS, "".join(json.dumps(record) + "\n" for record in kept).encode())


def plain_json(value: Any) -> bytes:
    """A plain value as the bytes of a JSON file for people too."""
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()
