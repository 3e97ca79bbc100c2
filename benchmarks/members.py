"""What an ensemble's members are worth on rows that none of them saw: more of them, more digits, more views.

The folds of cross-validation ask single nets, of which a large one may be no better than a small one and its ensemble
better all the same. Here each of five folds is held out from whole ensembles: of nets that learn from all of its
training part, or of nets that leave a fifth of that out, as the folds of a run do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from benchmarks import results
from benchmarks.scores import kaggle

from tenfold.data import folds
from tenfold.data.batches import Expansion
from tenfold.data.digits import Digits
from tenfold.data.warp import affine_matrices, resampled
from tenfold.models.inference import probabilities
from tenfold.orchestration import pool
from tenfold.seeds import SeedStream
from tenfold.settings import Compute, Fit, Net, Settings, Warp
from tenfold.storage import atomic
from tenfold.storage.npz import npz, read_npz
from tenfold.training.device import prepare_process, resolve
from tenfold.training.fit_classifier import fit_classifier

FOLDS: Final = 5
ALL: Final = "all"
FOUR_FIFTHS: Final = "four fifths"
KINDS: Final = (ALL, FOUR_FIFTHS)  # of what a fold trains on
# Views of an image that are asked beside it: (turn in degrees, zoom, right in pixels, down in pixels).
View = tuple[float, float, float, float]
AS_IT_IS: Final[View] = (0, 1, 0, 0)
SHIFTS: Final[tuple[View, ...]] = ((0, 1, 1, 0), (0, 1, -1, 0), (0, 1, 0, 1), (0, 1, 0, -1))
TURNS: Final[tuple[View, ...]] = ((6, 1, 0, 0), (-6, 1, 0, 0))
ZOOMS: Final[tuple[View, ...]] = ((0, 0.94, 0, 0), (0, 1.06, 0, 0))
VIEWS: Final = (AS_IT_IS, *SHIFTS, *TURNS, *ZOOMS)
# What an answer may be the mean of.
CHOICES: Final[Mapping[str, tuple[View, ...]]] = {
    "the image": (AS_IT_IS,),
    "and shifts": (AS_IT_IS, *SHIFTS),
    "and turns, zooms": (AS_IT_IS, *TURNS, *ZOOMS),
    "and all these": VIEWS,
}


@dataclass(frozen=True)
class _Member:
    """A training and the rows that it may not see."""

    kind: str
    index: int
    fold: int
    train: Digits
    held_out: Digits
    settings: Settings
    path: Path


def measure(
    members: int, kinds: Sequence[str], net: Net, fit: Fit, warp: Warp, keep: Path, data: Path
) -> dict[str, Any]:
    """Which of all 42,000 rows are read wrong by ensembles that the row's fold was held out from.

    Every member is shown as many digits. What the nets say is stored in `keep` as it comes, and is not measured again.
    """
    train, _, _ = kaggle(data)
    keep.mkdir(parents=True, exist_ok=True)  # before any training takes its minutes
    fold_of = folds.stratified(train, FOLDS, seed=0)
    compute = resolve(Compute(threads=1), 2**20)
    settings = Settings(net=net, fit=fit, warp=warp, compute=compute)
    unusual = [f"{name}-{value}" for name, value in results.differing(asdict(warp), Warp()).items()]
    keep = keep / "-".join([*map(str, net.channels), str(fit.epochs), "epochs", *unusual])
    tasks = left(members, kinds, settings, train, fold_of, keep)
    pool.run_all(tasks, compute.workers, lambda line: print(line, flush=True))
    return {
        "net": list(net.channels),
        "epochs": fit.epochs,
        "warp": asdict(warp),
        "rows": len(train),
        "wrong": [
            {"kind": kind, "n": n, "views": views, "rows": _wrong(kind, n, chosen, train, fold_of, keep)}
            for kind in kinds
            for n in range(1, members + 1)
            for views, chosen in CHOICES.items()
        ],
    }


def paired(a: Sequence[int], b: Sequence[int], n: int) -> tuple[int, float]:
    """Errors of `a` minus errors of `b`, given which of the same `n` rows each reads wrong, and its standard error."""
    difference = np.zeros(n, np.int64)
    difference[list(a)] += 1
    difference[list(b)] -= 1
    return int(difference.sum()), float(difference.std(ddof=1) * np.sqrt(n))


def left(
    members: int, kinds: Sequence[str], settings: Settings, train: Digits, fold_of: npt.NDArray[np.int64], keep: Path
) -> Iterator[pool.Task]:
    """The trainings whose answers `keep` lacks."""
    for index in range(members):
        for fold in range(FOLDS):
            outer, held_out = train.take(fold_of != fold), train.take(fold_of == fold)
            inner = folds.stratified(outer, FOLDS, seed=1)
            shown = replace(settings, fit=replace(settings.fit, epoch_images=len(outer)))
            for kind in kinds:
                path = _place(keep, kind, fold, index)
                if not path.exists():
                    part = outer if kind == ALL else outer.take(inner != index)
                    yield pool.Task(path.stem, _fit_member, _Member(kind, index, fold, part, held_out, shown, path))


def _place(keep: Path, kind: str, fold: int, index: int) -> Path:
    return keep / f"fold-{fold}-{kind.replace(' ', '-')}-{index}.npz"


def _fit_member(its: _Member, report: Callable[[dict[str, Any]], None]) -> None:
    device = prepare_process(its.settings.compute)
    images, labels = (torch.from_numpy(part).to(device) for part in (its.train.images, its.train.known_labels()))
    fit = its.settings.fit
    expansion = Expansion(images, labels, its.settings.warp, fit.batch_size, fit.epoch_images)
    stream = SeedStream(KINDS.index(its.kind), its.fold, its.index)
    net = fit_classifier(expansion, its.settings, stream, None, lambda *_: None)
    said = {f"view_{place}": probabilities(net, seen(its.held_out, view), device) for place, view in enumerate(VIEWS)}
    atomic.write(its.path, npz(**said))
    wrong = int((said["view_0"].argmax(1) != its.held_out.known_labels()).sum())
    report({"kind": its.kind, "fold": its.fold, "member": its.index, "errors": wrong, "rows": len(its.held_out)})


def seen(digits: Digits, view: View) -> npt.NDArray[np.uint8]:
    """Images uint8 (N, 28, 28) as a view shows them."""
    turn, zoom, right, down = (torch.full((len(digits),), float(value)) for value in view)
    matrices = affine_matrices(
        rotation_deg=turn,
        shear_deg=torch.zeros(len(digits)),
        scale=torch.stack([zoom, zoom], 1),
        shift_px=torch.stack([right, down], 1),
        side=28,
    )
    warped = resampled(torch.from_numpy(digits.images).unsqueeze(1).float(), matrices)
    return warped.round().to(torch.uint8).squeeze(1).numpy()


def _wrong(
    kind: str, n: int, views: tuple[View, ...], train: Digits, fold_of: npt.NDArray[np.int64], keep: Path
) -> list[int]:
    """The rows for which the mean over `n` members and the views is not the label."""
    said = np.zeros((len(train), 10))
    names = [f"view_{VIEWS.index(view)}" for view in views]
    for fold in range(FOLDS):
        for index in range(n):
            stored = read_npz(_place(keep, kind, fold, index), names, "remove it, and it is measured anew")
            said[fold_of == fold] += sum(stored.values())
    wrong: list[int] = np.flatnonzero(said.argmax(1) != train.known_labels()).tolist()
    return wrong
