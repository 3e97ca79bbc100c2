"""The folder of one training: its checkpoint, its lines in the log, its result, and the rate cuts requested for it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Final

from torch import nn

from tenfold.errors import BadInput, Diverged
from tenfold.settings import Cgan
from tenfold.storage import atomic, checkpoint
from tenfold.storage.checkpoint import FORMAT, Checkpoint, Unusable
from tenfold.storage.completion import DONE, finish, finished
from tenfold.storage.epoch_log import Epoch, PartOfEpoch, Stage
from tenfold.storage.run_folder import DIVERGED, RATE_CUTS, RunFolder
from tenfold.training.schedule import RateCut

Report = Callable[[Epoch | PartOfEpoch], None]

REPORT_EVERY_S: Final = 0.5  # within an epoch


def is_trained(folder: Path) -> bool:
    """Whether a training is finished, with every file of its result unchanged and in this version's format."""
    done = finished(folder)
    return done is not None and done.get("format") == FORMAT


def has_collapsed(folder: Path, cgan: Cgan) -> bool:
    """Whether a finished generator's digits within a class vary too little."""
    done = finished(folder)
    return done is not None and done["variety"] < cgan.least_variety


def prepare(run: RunFolder, folder: Path, stage: Stage, outline: Mapping[str, nn.Module]) -> str | None:
    """Remove what a training can't resume from, and cut its log back to its checkpoint.

    `outline` is what a checkpoint must hold. Returns a sentence if earlier work had to be
    discarded. Call only while no task is running.
    """
    path = _checkpoint(folder, stage)
    if is_trained(folder):
        path.unlink(missing_ok=True)  # a kill may have come between the result and this
        return None
    reason = None
    if (folder / DONE).exists():
        reason = "its result was changed or removed, or another version of tenfold wrote it"
        (folder / DONE).unlink()
    state = None
    try:
        state = checkpoint.load(path)
        if state and not state.fits(outline):
            raise Unusable("belongs to other nets")
    except Unusable as error:
        reason, state = f"its checkpoint {error}", None
        path.unlink()
    run.epoch_log.cut(folder.name, stage, state.epochs_done if state else 0)
    return f"{folder.name} restarts: {reason}" if reason and not state else None


def add_rate_cut(folder: Path, factor: float) -> bool:
    """Let a training whose loss became NaN continue with lower learning rates; False if it is not such a training.

    Raises BadInput where the record of either is damaged.
    """
    path = folder / DIVERGED
    try:
        cut = RateCut(int(json.loads(path.read_text("utf-8"))["epochs_done"]), factor)
    except FileNotFoundError:
        return False
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise BadInput(f"{path}: can't be read ({error}); start over with --fresh") from error
    atomic.write(folder / RATE_CUTS, json.dumps([asdict(one) for one in (*rate_cuts(folder), cut)]).encode())
    path.unlink()
    return True


def rate_cuts(folder: Path) -> tuple[RateCut, ...]:
    """The rate cuts requested for a training so far. Raises BadInput where their record is damaged."""
    path = folder / RATE_CUTS
    try:
        return tuple(RateCut(**entry) for entry in json.loads(path.read_text("utf-8")))
    except FileNotFoundError:
        return ()
    except (OSError, ValueError, TypeError) as error:
        raise BadInput(f"{path}: can't be read ({error}); start over with --fresh") from error


class RunningTask:
    """A running training: resumes from its checkpoint, logs its epochs, records when its loss became NaN."""

    def __init__(self, run: RunFolder, folder: Path, stage: Stage, report: Report) -> None:
        self.run, self.folder, self.report = run, folder, report
        self.checkpoint = _checkpoint(folder, stage)
        self.last_ended = self.last_reported = time.monotonic()
        self.epochs_done = 0

    @contextmanager
    def recording_divergence(self) -> Iterator[None]:
        """Record a divergence for the next attempt."""
        try:
            yield
        except Diverged:
            atomic.write(self.folder / DIVERGED, json.dumps({"epochs_done": self.epochs_done}).encode())
            raise

    def resume(self) -> Checkpoint | None:
        """The checkpoint to continue from."""
        state = checkpoint.load(self.checkpoint)
        self.epochs_done = state.epochs_done if state else 0
        return state

    def after_epoch(self, epoch: Epoch, state: Checkpoint) -> None:
        """Log an epoch and store its checkpoint."""
        now = time.monotonic()
        line = replace(
            epoch, task=self.folder.name, seconds=round(now - self.last_ended, 3), ended=round(time.time(), 3)
        )
        self.last_ended = now
        # First the log, then the checkpoint: a kill in between leaves a line too many, which the next attempt removes.
        self.run.epoch_log.append(line)
        checkpoint.save(self.checkpoint, state)
        self.epochs_done = state.epochs_done
        self.report(line)

    def after_step(self, epoch: int, epochs: int, share: float) -> None:
        """Report how far an epoch is, now and then."""
        now = time.monotonic()
        if now - self.last_reported >= REPORT_EVERY_S:
            self.last_reported = now
            self.report(PartOfEpoch(self.folder.name, epoch, epochs, round(share, 4), round(now - self.last_ended, 3)))

    def finish(self, files: Sequence[str], **result: float) -> None:
        """Declare the training finished with these files."""
        finish(self.folder, files, {"format": FORMAT, **result})
        self.checkpoint.unlink(missing_ok=True)


def _checkpoint(folder: Path, stage: Stage) -> Path:
    return folder / f"{stage}.checkpoint.safetensors"
