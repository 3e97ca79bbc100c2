"""Parts of one run, each fitted by `tenfold run --only` on a machine of its own, brought together in one folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tenfold.errors import BadInput
from tenfold.orchestration import subset, transfer
from tenfold.orchestration.plan import Plan
from tenfold.settings import Settings, differences, to_table
from tenfold.storage.completion import finished
from tenfold.storage.lock import hold
from tenfold.storage.run_folder import DATA, RunFolder
from tenfold.training.tasks import CGAN_STAGE, CLASSIFIER_STAGE, trained


def join(parts: Sequence[Path], out: Path) -> tuple[Settings, list[str]]:
    """Copy what the parts have fitted into the folder `out`, which may hold some of the same run already.

    Gives the settings of all of them, and what is left to fit, in the words of `--only`. Raises BadInput where
    settings or digits differ or a part is unfinished, before anything is written.
    """
    if len({folder.resolve() for folder in [*parts, out]}) <= len(parts):
        raise BadInput("join: a folder is named twice; name each part once, and another --out")
    runs = [RunFolder(part) for part in parts]
    settings, digits = runs[0].settings(), runs[0].read_json(DATA)
    for run in [*runs, RunFolder(out)] if (out / DATA).exists() else runs:
        found = differences(to_table(settings), to_table(run.settings()), "there")
        if found:
            raise BadInput(
                f"{run.path}: has other settings than {parts[0]} ({'; '.join(found)}); join parts of one run"
            )
        its = run.read_json(DATA)
        if any(its[name] != digits[name] for name in ("train_sha256", "test_sha256")):
            raise BadInput(f"{run.path}: was run on other digits than {parts[0]}; join parts on the same files")
    fitted = [_fitted(run, settings) for run in runs]
    with hold(out, settings, fresh=False) as together:
        together.write_json(DATA, digits)
        for run, names in zip(runs, fitted, strict=True):
            for name in names:
                _copy(run, together, name)
        return settings, subset.remaining(settings, together)


def _fitted(run: RunFolder, settings: Settings) -> list[str]:
    """The names of the trainings in a part. Raises BadInput where one is unfinished, or there is none."""
    begun = [place for place in Plan(settings, run).places() if place.exists()]
    for place in begun:
        if not trained(place):
            raise BadInput(f"{run.path}: {place.name} is unfinished in it; let the same `tenfold run` end first")
    if not begun:
        raise BadInput(f"{run.path}: nothing is fitted in it yet; let the same `tenfold run` end first")
    return [place.name for place in begun]


def _copy(run: RunFolder, together: RunFolder, name: str) -> None:
    """One training's lines of the log, then its files; done.json comes last, so a kill leaves nothing half."""
    there = finished(together.path / name)
    if there is not None:
        if there != finished(run.path / name):
            print(f"note: {name} came out otherwise in {run.path} than in another part, which is kept")
        return
    for stage in (CGAN_STAGE, CLASSIFIER_STAGE):
        together.forget_epochs_after(name, stage, 0)
    for line in run.epochs():
        if line["task"] == name:
            together.append_epoch(line)
    transfer.write(together, transfer.read(run, name))
