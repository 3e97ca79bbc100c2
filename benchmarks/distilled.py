"""Whether a light net reads better when an ensemble teaches it, by the ensemble's probabilities instead of labels.

In each fold, the ensemble, its generator and the light nets are trained on the training part alone; the held-out part
scores them. After G. Hinton et al., "Distilling the knowledge in a neural network", 2015.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from benchmarks import results
from benchmarks.members import hold_out
from torch import Tensor, nn

from tenfold.data.batches import Batches, Generated, Predict
from tenfold.models.inference import probabilities
from tenfold.seeds import SeedStream
from tenfold.settings import Cgan, Fit, Net
from tenfold.storage.npz import npz, read_npz
from tenfold.studies.cells import Material, Measurement, measure_missing
from tenfold.studies.reference_net import train_classifier, train_generator
from tenfold.studies.table import COUNT

TEACHERS: Final = 3
SHARE: Final = 0.25  # of generated digits in a batch
# Keys in results.jsonl, and what they mean.
ONE_TEACHER: Final = "one teacher"
ENSEMBLE: Final = f"all {TEACHERS}"
LABELS: Final = "labels"
OF_GENERATED: Final = "generated digits beside them, with what the ensemble says"
OF_ALL: Final = "what the ensemble says of every warped digit"
TITLES: Final = {
    ONE_TEACHER: "itself one teacher",
    ENSEMBLE: f"itself the ensemble of {TEACHERS} teachers",
    LABELS: "taught by labels",
    OF_GENERATED: "taught by labels, and by the ensemble on generated digits",
    OF_ALL: "taught by the ensemble on all digits",
}


@dataclass(frozen=True, kw_only=True)
class TaughtOfGenerated(Batches):
    """Batches with the teachers' probabilities as targets of generated digits."""

    teacher: Predict | None = None

    def generated(self, rng: torch.Generator, predict: Predict | None = None) -> Generated:
        """An epoch's generated digits."""
        return super().generated(rng, self.teacher)


@dataclass(frozen=True, kw_only=True)
class TaughtOfAll(Batches):
    """Batches with the teachers' probabilities as targets of every digit, as it is warped."""

    teacher: Predict | None = None

    def epoch(self, generated: Generated, rng: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        """An epoch's batches."""
        assert self.teacher
        for images, _ in super().epoch(generated, rng):
            yield images, self.teacher(images)


def measure(n: int, net: Net, fit: Fit, cgan: Cgan, keep: Path, material: Material) -> dict[str, Any]:
    """Which rows that the first `n` of five folds hold out are misread by each net.

    A fold's answers are stored below `keep`, and are not measured again.
    """
    of_cgan = (f"cgan {setting}" for setting in results.differing(asdict(cgan), Cgan()))
    folder = keep / results.folder_name(net.channels, f"{fit.epochs} epochs", *of_cgan)
    jobs = [(0, f"fold {fold}") for fold in range(n)]
    columns = {"errors": COUNT, "rows": COUNT}
    measure_missing("distilled", columns, jobs, partial(_measure, net, fit, cgan), material, folder)
    stored = [read_npz(folder / _file(fold), list(TITLES), f"remove {folder} and measure again") for fold in range(n)]
    wrong = {name: np.concatenate([part[name] for part in stored]) for name in TITLES}
    return {
        "net": list(net.channels),
        "epochs": fit.epochs,
        "cgan_epochs": cgan.epochs,
        "share": SHARE,
        "rows": len(wrong[LABELS]),
        "wrong": {name: np.flatnonzero(rows).tolist() for name, rows in wrong.items()},
    }


def _measure(net: Net, fit: Fit, cgan: Cgan, cell: str, seed: int, material: Material) -> list[Measurement]:
    fold, compute = int(cell.removeprefix("fold ")), material.compute
    train, held_out = hold_out(material.train, fold)

    def trained(index: int, fit: Fit = fit, make_batches: Any = Batches) -> nn.Module:
        return train_classifier(train, fit, compute, SeedStream(0, fold, index), net, make_batches=make_batches)

    teachers = [trained(index) for index in range(TEACHERS)]
    generator = train_generator(train, cgan, compute, SeedStream(0, fold))
    generator.net.to(memory_format=torch.contiguous_format)  # as a run loads it, so that stored results repeat
    of_generated = partial(
        TaughtOfGenerated, share=SHARE, sample=generator.sample, soft_labels=True, teacher=mean_of_bytes(teachers)
    )
    of_all = partial(TaughtOfAll, teacher=mean_of_floats(teachers))
    taught = {  # all three start with the same weights, which no teacher had
        LABELS: trained(TEACHERS),
        OF_GENERATED: trained(TEACHERS, make_batches=of_generated),
        OF_ALL: trained(TEACHERS, replace(fit, label_smoothing=0.0), of_all),  # the teachers had label smoothing
    }
    device, labels = torch.device(compute.device), held_out.known_labels()
    teaching, *others = (probabilities(teacher, held_out.images, device) for teacher in teachers)
    probs = {ONE_TEACHER: teaching, ENSEMBLE: sum(others, teaching)}
    probs |= {name: probabilities(one, held_out.images, device) for name, one in taught.items()}
    wrong = {name: answers.argmax(1) != labels for name, answers in probs.items()}
    rows = [Measurement(name, {"errors": int(mask.sum()), "rows": len(labels)}) for name, mask in wrong.items()]
    return [*rows[:-1], replace(rows[-1], files={_file(fold): npz(**wrong)})]


def _file(fold: int) -> str:
    return f"fold-{fold}.npz"


def mean_of_floats(nets: Sequence[nn.Module]) -> Predict:
    """Mean probabilities of the nets for images float (N, 1, 28, 28) in [0, 1]."""

    @torch.no_grad()
    def predict(images: Tensor) -> Tensor:
        images = images.contiguous(memory_format=torch.channels_last)
        return torch.stack([net(images).softmax(1) for net in nets]).mean(0)

    return predict


def mean_of_bytes(nets: Sequence[nn.Module]) -> Predict:
    """The same for images uint8 (N, 28, 28)."""
    mean = mean_of_floats(nets)
    return lambda images: torch.cat([mean(part.unsqueeze(1).float().div(255)) for part in images.split(500)])
