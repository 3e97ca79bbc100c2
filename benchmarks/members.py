"""What an ensemble's members are worth on rows that none of them saw: more of them, more digits, more views.

Cross-validation scores single nets. A large net may be no better than a small one alone, and still better in an
ensemble. So each of five folds is held out from whole ensembles: of nets trained on all other digits, or of nets that
leave out a fifth of these, as the folds of a run do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from benchmarks import results

from tenfold.data import folds
from tenfold.data.digits import Digits
from tenfold.data.warp import affine_matrices, resampled
from tenfold.models.inference import probabilities
from tenfold.seeds import SeedStream
from tenfold.settings import Fit, Net, Warp
from tenfold.storage.npz import npz, read_npz
from tenfold.studies.cells import Material, Measurement, measure_missing
from tenfold.studies.reference_net import train_classifier
from tenfold.studies.table import COUNT

FOLDS: Final = 5
ALL: Final = "all"
FOUR_FIFTHS: Final = "four fifths"
KINDS: Final = (ALL, FOUR_FIFTHS)  # of training sets
CELLS: Final = {f"{kind}, fold {fold}": (kind, fold) for fold in range(FOLDS) for kind in KINDS}
# Views of an image at test time: (turn in degrees, zoom, right in pixels, down in pixels).
View = tuple[float, float, float, float]
ORIGINAL: Final[View] = (0, 1, 0, 0)
SHIFTS: Final[tuple[View, ...]] = ((0, 1, 1, 0), (0, 1, -1, 0), (0, 1, 0, 1), (0, 1, 0, -1))
TURNS: Final[tuple[View, ...]] = ((6, 1, 0, 0), (-6, 1, 0, 0))
ZOOMS: Final[tuple[View, ...]] = ((0, 0.94, 0, 0), (0, 1.06, 0, 0))
VIEWS: Final = (ORIGINAL, *SHIFTS, *TURNS, *ZOOMS)
# Views over which an answer may be averaged, by the name in results.jsonl.
CHOICES: Final[Mapping[str, tuple[View, ...]]] = {
    "the image": (ORIGINAL,),
    "and shifts": (ORIGINAL, *SHIFTS),
    "and turns, zooms": (ORIGINAL, *TURNS, *ZOOMS),
    "and all these": VIEWS,
}


def measure(
    members: int, kinds: Sequence[str], net: Net, fit: Fit, warp: Warp, keep: Path, material: Material
) -> dict[str, Any]:
    """Which training rows are misread by ensembles that their fold was held out from.

    Every member sees as many digits. Its probabilities are stored below `keep`, and are not measured again.
    """
    of_warp = results.differing(asdict(warp), Warp())
    folder = keep / results.folder_name(net.channels, f"{fit.epochs} epochs", *of_warp)
    jobs = [(index, cell) for index in range(members) for cell, (kind, _) in CELLS.items() if kind in kinds]
    columns = {"errors": COUNT, "rows": COUNT}
    measure_missing("members", columns, jobs, partial(_measure, net, fit, warp), material, folder)
    return {
        "net": list(net.channels),
        "epochs": fit.epochs,
        "warp": asdict(warp),
        "rows": len(material.train),
        "wrong": [
            {"kind": kind, "n": n, "views": choice, "rows": _wrong(kind, n, views, material.train, folder)}
            for kind in kinds
            for n in range(1, members + 1)
            for choice, views in CHOICES.items()
        ],
    }


def hold_out(digits: Digits, fold: int) -> tuple[Digits, Digits]:
    """The training part and the held-out part of one of FOLDS folds."""
    fold_of = folds.stratified(digits, FOLDS, seed=0)
    return digits.take(fold_of != fold), digits.take(fold_of == fold)


def training_set(outside: Digits, kind: str, index: int) -> Digits:
    """What a member is trained on, of all digits outside the fold that is held out from it."""
    return outside if kind == ALL else outside.take(folds.stratified(outside, FOLDS, seed=1) != index)


def _measure(net: Net, fit: Fit, warp: Warp, cell: str, index: int, material: Material) -> list[Measurement]:
    kind, fold = CELLS[cell]
    outside, held_out = hold_out(material.train, fold)
    train, fit = training_set(outside, kind, index), replace(fit, epoch_images=len(outside))
    member = train_classifier(train, fit, material.compute, SeedStream(KINDS.index(kind), fold, index), net, warp)
    device = torch.device(material.compute.device)
    probs = {
        f"view_{number}": probabilities(member, viewed(held_out, view), device) for number, view in enumerate(VIEWS)
    }
    errors = int((probs["view_0"].argmax(1) != held_out.known_labels()).sum())
    return [Measurement(cell, {"errors": errors, "rows": len(held_out)}, {_file(kind, fold, index): npz(**probs)})]


def _file(kind: str, fold: int, index: int) -> str:
    return f"fold-{fold}-{kind.replace(' ', '-')}-{index}.npz"


def viewed(digits: Digits, view: View) -> npt.NDArray[np.uint8]:
    """Images uint8 (N, 28, 28) as a view shows them."""
    turn, zoom, right, down = (torch.full((len(digits),), float(value)) for value in view)
    matrices = affine_matrices(
        rotation_deg=turn,
        shear_deg=torch.zeros(len(digits)),
        scale=torch.stack([zoom, zoom], 1),
        shift_px=torch.stack([right, down], 1),
        side=28,
    )
    images = resampled(torch.from_numpy(digits.images).unsqueeze(1).float(), matrices)
    return images.round().to(torch.uint8).squeeze(1).numpy()


def _wrong(kind: str, n: int, views: tuple[View, ...], digits: Digits, folder: Path) -> list[int]:
    """The rows for which the mean over `n` members and the views is not the label."""
    fold_of = folds.stratified(digits, FOLDS, seed=0)
    probs = np.zeros((len(digits), 10))
    names = [f"view_{VIEWS.index(view)}" for view in views]
    for fold in range(FOLDS):
        for index in range(n):
            stored = read_npz(folder / _file(kind, fold, index), names, f"remove {folder} and measure again")
            probs[fold_of == fold] += sum(stored.values())
    wrong: list[int] = np.flatnonzero(probs.argmax(1) != digits.known_labels()).tolist()
    return wrong
