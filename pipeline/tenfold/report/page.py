"""A run's report: one HTML file that opens from disk and loads nothing from any host."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from jinja2 import Environment, PackageLoader, StrictUndefined

from tenfold.data.digits import Digits
from tenfold.data.folds import NOT_VALIDATED
from tenfold.data.overlap import DataRecord
from tenfold.data.warp import warped
from tenfold.errors import BadInput
from tenfold.evaluation import diagnostics
from tenfold.evaluation.cross_validation import OutOfFold, tempered
from tenfold.evaluation.metrics import RunMetrics, load_run_metrics
from tenfold.report import provenance
from tenfold.report.markdown import flat
from tenfold.report.next_steps import next_steps
from tenfold.settings import Settings, Warp, to_table
from tenfold.storage import atomic
from tenfold.storage.completion import require_finished
from tenfold.storage.epoch_log import EPOCHS, ClassifierEpoch, Epoch, seconds_by_stage
from tenfold.storage.npz import npz, read_npz
from tenfold.storage.run_folder import ENVIRONMENT, OOF, PICTURES, REPORT, RunFolder
from tenfold_onnx.images import sheet_png

HARDEST: Final = 30  # digits shown
LABEL_ERRORS: Final = 30
WARPS: Final = 9  # of each digit, beside itself


@dataclass(frozen=True)
class Pictures:
    """pictures.npz: the training digits that the report shows."""

    row: npt.NDArray[np.int64]  # (N,), among the out-of-fold rows
    images: npt.NDArray[np.uint8]  # (N, 28, 28)
    first: npt.NDArray[np.int64]  # the first row of each digit

    @classmethod
    def choose(cls, oof: OutOfFold, digits: Digits, fold_of: npt.NDArray[np.int64]) -> Pictures:
        """Likely label errors, the hardest digits, and the first of each class."""
        probs, labels, images = oof.probabilities, oof.labels, digits.images[fold_of != NOT_VALIDATED]
        label_errors = diagnostics.likely_label_errors(probs, labels)
        hardest = diagnostics.hardest(probs, labels, exclude=label_errors)[:HARDEST]
        first = np.array([np.flatnonzero(labels == digit)[0] for digit in np.unique(labels)])
        rows = np.unique(np.concatenate([label_errors[:LABEL_ERRORS], hardest, first]))
        return cls(rows, images[rows], first)

    def save(self, run: RunFolder) -> None:
        """Write pictures.npz."""
        atomic.write(run.path / PICTURES, npz(row=self.row, images=self.images, first=self.first))

    @classmethod
    def load(cls, run: RunFolder) -> Pictures:
        """Read pictures.npz. Raises BadInput where it is missing or damaged."""
        fix = "let the run finish first, by the same `tenfold run`"
        return cls(**read_npz(run.path / PICTURES, ("row", "images", "first"), fix))


@dataclass(frozen=True)
class FinishedRun:
    """All that the report shows of a run."""

    folder: RunFolder
    settings: Settings
    metrics: RunMetrics
    data: DataRecord
    oof: OutOfFold
    pictures: Pictures
    epochs: Sequence[Epoch]

    @classmethod
    def load(cls, folder: RunFolder) -> FinishedRun:
        """From a run's files. Raises BadInput where the run is unfinished, or one of its files is damaged."""
        for finished in (folder.path, folder.generator):
            require_finished(finished)
        return cls(
            folder,
            folder.settings(),
            load_run_metrics(folder),
            DataRecord.load(folder),
            OutOfFold.load(folder),
            Pictures.load(folder),
            folder.epoch_log.read(),
        )


@dataclass(frozen=True)
class Card:
    """One digit, and how nets that did not train on it read it."""

    picture: str  # a PNG as a data URI
    label: int
    likeliest: list[tuple[int, float]]  # digits with their probabilities
    origin: str  # which row of which source, from 0


def write_report(run: FinishedRun) -> None:
    """Write report.html. Raises BadInput where a file of the run is damaged."""
    page = render(run).encode("utf-8", "backslashreplace")  # a path may hold bytes that are not UTF-8
    atomic.write(run.folder.path / REPORT, page)


def render(run: FinishedRun) -> str:
    """The report's HTML. Raises BadInput where a file of the run is damaged."""
    from tenfold.report import figures, generator_film, networks  # here: refusals need not wait for matplotlib

    settings, metrics, oof = run.settings, run.metrics, run.oof
    probs, labels = oof.probabilities, oof.labels
    before = diagnostics.reliability(tempered(probs, 1 / metrics.temperature), labels)
    after = diagnostics.reliability(probs, labels)
    label_errors = diagnostics.likely_label_errors(probs, labels)
    hardest = diagnostics.hardest(probs, labels, exclude=label_errors)[:HARDEST]
    counts = diagnostics.confusion(probs, labels)
    preset, changes = provenance.nearest_preset(settings)
    scorers = {run.folder.cas(seed).name for seed in range(settings.cgan.cas_seeds)}
    classifiers = [one for one in run.epochs if isinstance(one, ClassifierEpoch) and one.task not in scorers]
    generator = generator_film.final_generator_epochs(run.epochs, run.folder)
    if not classifiers or not generator:
        raise BadInput(f"{run.folder.path / EPOCHS}: lacks epochs of the run; repeat it with --fresh")
    began, ended = provenance.training_period(run.epochs)
    grids = generator_film.grids(run.folder.generator)
    images = dict(zip(run.pictures.row.tolist(), run.pictures.images, strict=True))
    template = Environment(
        loader=PackageLoader("tenfold.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    ).get_template("page.html")
    return template.render(
        name=run.folder.path.resolve().name,
        ended=ended,
        period=provenance.period_in_words(began, ended),
        preset=preset,
        changes=changes,
        preset_words=provenance.preset_in_words(preset, changes),
        seed=settings.seed,
        next_steps=next_steps(run.folder.path, metrics.source, metrics.honest),
        path=None if run.folder.path.is_absolute() else run.folder.path,
        metrics=metrics,
        cv=metrics.cross_validation,
        data=run.data,
        members=settings.folds * settings.nets,
        confusion=counts.tolist(),
        most_confused=max(1, int((counts - np.diag(np.diag(counts))).max())),
        digits=diagnostics.per_digit(probs, labels),
        losses=figures.losses(classifiers),
        validation_errors=figures.validation_errors(classifiers),
        reliability=figures.reliability(before, after),
        expected_errors=diagnostics.expected_errors(probs),
        calibration=(diagnostics.calibration_error(before), diagnostics.calibration_error(after)),
        hardest=[_card(row, images, oof) for row in hardest.tolist()],
        label_errors=[_card(row, images, oof) for row in label_errors[:LABEL_ERRORS].tolist()],
        label_errors_found=len(label_errors),
        warps=_uri(_warps([images[row] for row in run.pictures.first.tolist()], settings.warp)),
        warp=settings.warp,
        generated=_uri(grids[-1]),
        film=_uri(generator_film.film(grids), "gif"),
        networks=networks.diagram(settings.cgan),
        gan_losses=figures.gan_losses(generator),
        scores=figures.scores(generator),
        varieties=figures.variety(generator),
        variety=generator[-1].variety,
        quality=metrics.generator,
        share=settings.cgan.share,
        reserve=settings.cgan.reserve,
        timeline=figures.timeline(run.epochs),
        seconds=seconds_by_stage(run.epochs),
        settings=flat(to_table(settings)),
        environment=flat(run.folder.read_json(ENVIRONMENT)),
    )


def _card(row: int, images: dict[int, npt.NDArray[np.uint8]], oof: OutOfFold) -> Card:
    if row not in images:
        raise BadInput(f"{PICTURES}: does not match {OOF}; repeat the run with --fresh")
    probs = oof.probabilities[row]
    likeliest = np.argsort(-probs, kind="stable")[:2]
    source, index = oof.origin[row]
    return Card(
        _uri(sheet_png(images[row][None], 1, gap=0)),
        int(oof.labels[row]),
        [(int(digit), float(probs[digit])) for digit in likeliest],
        f"{source}, row {index}",
    )


def _warps(originals: Sequence[npt.NDArray[np.uint8]], settings: Warp) -> bytes:
    """A sheet with one row per digit: itself, then warped as training sees it."""
    images = torch.from_numpy(np.stack(originals)).unsqueeze(1).float() / 255
    rng = torch.Generator().manual_seed(0)
    columns: list[Any] = [images, *(warped(images, settings, rng) for _ in range(WARPS))]
    sheet = (torch.stack(columns, 1) * 255).round().to(torch.uint8).reshape(-1, *images.shape[2:])
    return sheet_png(sheet.numpy(), 1 + WARPS)


def _uri(picture: bytes, kind: str = "png") -> str:
    return f"data:image/{kind};base64,{base64.b64encode(picture).decode()}"
