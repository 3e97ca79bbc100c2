"""A part of a run's trainings by name, for machines that share nothing: each fits its own, `tenfold join` collects.

What others call the seeds of a fold are its nets here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tenfold.errors import BadInput
from tenfold.orchestration.plan import expanding
from tenfold.settings import Settings
from tenfold.storage.run_folder import RunFolder
from tenfold.training.tasks import trained

FORMS: Final = "fold=F, fold=F,net=N, light or generator"


def select(words: str, settings: Settings) -> frozenset[str]:
    """The names of the trainings that `words` mean, such as fold=2 or fold=2,net=1.

    A fold's nets come with its generator, whose digits they are shown. Raises BadInput.
    """
    run = RunFolder(Path())
    shipped = {place.name for place in (run.light, run.generator)}
    if words in shipped:
        return frozenset({words})
    keys, values = zip(*(entry.partition("=")[::2] for entry in words.split(",")), strict=True)
    if keys not in (("fold",), ("fold", "net")):
        raise BadInput(f"only: is {words or 'empty'} where {FORMS} belongs")
    fold = _number("fold", values[0], settings.folds)
    nets = range(settings.nets) if len(values) == 1 else [_number("net", values[1], settings.nets)]
    return frozenset({expanding(settings, run, fold).name, *(run.net(fold, net).name for net in nets)})


def remaining(settings: Settings, run: RunFolder) -> list[str]:
    """What is still to be fitted in the folder of `run`, in the words that `chosen` reads."""
    words = []
    for fold in range(settings.folds):
        nets = [net for net in range(settings.nets) if not trained(run.net(fold, net))]
        expands = settings.cgan.share > 0
        if len(nets) == settings.nets or (not nets and expands and not trained(expanding(settings, run, fold))):
            words.append(f"fold={fold}")
        else:
            words += [f"fold={fold},net={net}" for net in nets]
    return words + [place.name for place in (run.light, run.generator) if not trained(place)]


def remaining_message(settings: Settings, run: RunFolder) -> str:
    """What a person is told once a part is fitted in the folder of `run`."""
    rest = remaining(settings, run)
    if not rest:
        return "nothing is left to fit: the same command without --only ends the run"
    return f"left to fit, here or elsewhere: {', '.join(rest)}; `tenfold join` brings the folders together"


def _number(name: str, text: str, count: int) -> int:
    if not text.isdecimal() or int(text) >= count:
        raise BadInput(f"only: {name} is {text or 'empty'} where a whole number from 0 to {count - 1} belongs")
    return int(text)
