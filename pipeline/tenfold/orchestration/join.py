"""Parts of one run, each fitted by `tenfold run --only` on a machine of its own, collected in one folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from tenfold.data.overlap import DataRecord
from tenfold.errors import BadInput
from tenfold.orchestration import subset, transfer
from tenfold.orchestration.plan import Plan
from tenfold.settings import Settings, differences, to_table
from tenfold.storage.completion import finished
from tenfold.storage.epoch_log import Stage
from tenfold.storage.lock import hold
from tenfold.storage.run_folder import DATA, RunFolder
from tenfold.terminal import note
from tenfold.training.task_folder import is_trained


def join(parts: Sequence[Path], out: Path) -> tuple[Settings, list[str]]:
    """Copy what the parts have fitted into the folder `out`, which may hold some of the same run already.

    Returns the settings that all share, and what remains to be fitted, as `--only` takes it. Raises BadInput where
    settings or digits differ or a part is unfinished, before anything is written.
    """
    if len({folder.resolve() for folder in [*parts, out]}) <= len(parts):
        raise BadInput("join: a folder is named twice; name each part once, and another --out")
    runs = [RunFolder(part) for part in parts]
    settings, record = runs[0].settings(), DataRecord.load(runs[0])
    for run in [*runs, RunFolder(out)] if (out / DATA).exists() else runs:
        changed = differences(to_table(run.settings()), to_table(settings))
        if changed:
            raise BadInput(
                f"{run.path}: its settings differ from {parts[0]}'s ({'; '.join(changed)}); join parts of one run"
            )
        if not DataRecord.load(run).same_digits(record):
            raise BadInput(f"{run.path}: its digits differ from {parts[0]}'s; join parts of one run")
    fitted = [_fitted(run, settings) for run in runs]
    with hold(out, settings, fresh=False) as joined:
        joined.write_json(DATA, runs[0].read_json(DATA))
        for run, names in zip(runs, fitted, strict=True):
            for name in names:
                _copy(run, joined, name)
        return settings, subset.remaining(settings, joined)


def _fitted(run: RunFolder, settings: Settings) -> list[str]:
    """The names of the trainings in a part. Raises BadInput where one is unfinished, or there is none."""
    begun = [folder for folder in Plan(settings, run).folders() if folder.exists()]
    for folder in begun:
        if not is_trained(folder):
            raise BadInput(f"{run.path}: {folder.name} is unfinished; let the same `tenfold run` finish first")
    if not begun:
        raise BadInput(f"{run.path}: nothing is fitted yet; let the same `tenfold run` finish first")
    return [folder.name for folder in begun]


def _copy(run: RunFolder, joined: RunFolder, name: str) -> None:
    """One training's lines of the log, then its files, done.json last, so that a kill leaves nothing half-done."""
    existing = finished(joined.path / name)
    if existing is not None:
        if existing != finished(run.path / name):
            note(f"note: {name} differs between {run.path} and another part, which is used")
        return
    for stage in get_args(Stage):
        joined.epoch_log.cut(name, stage, 0)
    for epoch in run.epoch_log.read():
        if epoch.task == name:
            joined.epoch_log.append(epoch)
    transfer.write(joined, transfer.read(run, name))
