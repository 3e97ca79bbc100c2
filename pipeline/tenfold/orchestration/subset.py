"""`--only`: a subset of a run's trainings, for machines that share nothing; `tenfold join` collects them."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tenfold.errors import BadInput
from tenfold.orchestration.plan import generator_folder
from tenfold.settings import Settings
from tenfold.storage.run_folder import RunFolder
from tenfold.training.task_folder import is_trained

FORMS: Final = "fold=F, fold=F,net=N, light or generator"


def select(text: str, settings: Settings) -> frozenset[str]:
    """The names of the trainings that `text` means, such as fold=2 or fold=2,net=1.

    A fold's nets come with its generator, whose digits they learn from. Raises BadInput.
    """
    run = RunFolder(Path())
    alone = {folder.name for folder in (run.light, run.generator)}
    if text in alone:
        return frozenset({text})
    keys, values = zip(*(entry.partition("=")[::2] for entry in text.split(",")), strict=True)
    if keys not in (("fold",), ("fold", "net")):
        raise BadInput(f"only: must be {FORMS}, got {text or 'nothing'}")
    fold = _number("fold", values[0], settings.folds)
    nets = range(settings.nets) if len(values) == 1 else [_number("net", values[1], settings.nets)]
    return frozenset({generator_folder(settings, run, fold).name, *(run.net(fold, net).name for net in nets)})


def remaining(settings: Settings, run: RunFolder) -> list[str]:
    """What is still to be fitted in the folder of `run`, as `select` reads it."""
    forms = []
    for fold in range(settings.folds):
        nets = [net for net in range(settings.nets) if not is_trained(run.net(fold, net))]
        generator_missing = settings.cgan.share > 0 and not is_trained(generator_folder(settings, run, fold))
        if len(nets) == settings.nets or (not nets and generator_missing):
            forms.append(f"fold={fold}")
        else:
            forms += [f"fold={fold},net={net}" for net in nets]
    return forms + [folder.name for folder in (run.light, run.generator) if not is_trained(folder)]


def remaining_message(settings: Settings, run: RunFolder) -> str:
    """What to do once a subset is fitted in the folder of `run`."""
    forms = remaining(settings, run)
    if not forms:
        return "everything is fitted: the same command without --only completes the run"
    return f"still to be fitted, here or elsewhere: {', '.join(forms)}; then `tenfold join` collects the folders"


def _number(name: str, text: str, count: int) -> int:
    if not text.isdecimal() or int(text) >= count:
        raise BadInput(f"only: {name} must be an integer from 0 to {count - 1}, got {text or 'nothing'}")
    return int(text)
