"""A run's report: one HTML file that opens from disk and asks nothing of any host."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from jinja2 import Environment, PackageLoader, StrictUndefined

from tenfold.data.warp import warped
from tenfold.errors import BadInput
from tenfold.evaluation import cross_validation, diagnostics
from tenfold.orchestration.plan import Plan
from tenfold.report.markdown import flat
from tenfold.settings import Warp, to_table
from tenfold.storage import epoch_log
from tenfold.storage.npz import read_npz
from tenfold.storage.run_folder import DATA, ENVIRONMENT, EPOCHS, OOF, PICTURES, RunFolder
from tenfold_onnx.images import sheet_png

WARPS: Final = 9  # of each digit, beside itself
UNFINISHED: Final = "let the run end first, by the same `tenfold run`"


@dataclass(frozen=True)
class Shown:
    """One digit, and what was said of it by nets that did not train on it."""

    picture: str  # a PNG as a data URI
    label: int
    said: list[tuple[int, float]]  # the likeliest digits with their probabilities
    origin: str  # which row of which source, from 0


def render(run: RunFolder) -> str:
    """The report of a finished run. Raises BadInput where the run is unfinished, or a record of it is damaged."""
    from tenfold.report import (
        figures,
        generator_film,  # here: a run that is refused waits for no matplotlib
        networks,
    )

    settings = run.settings()
    metrics = run.metrics()
    oof = read_npz(run.path / OOF, ("probabilities", "labels", "origin"), UNFINISHED)
    stored = read_npz(run.path / PICTURES, ("row", "images", "first"), UNFINISHED)
    images = dict(zip(stored["row"].tolist(), stored["images"], strict=True))
    said, labels = oof["probabilities"], oof["labels"]
    untempered = cross_validation.tempered(said, 1 / metrics["temperature"])
    before, after = diagnostics.reliability(untempered, labels), diagnostics.reliability(said, labels)
    wrong = diagnostics.likely_label_errors(said, labels)
    hard = diagnostics.hardest(said, labels, but=wrong)[: diagnostics.HARDEST_SHOWN]
    counts = diagnostics.confusion(said, labels)
    epochs = run.epochs()
    nets = {place.name for place in Plan(settings, run).places()}  # not those that score the generator
    learned = [line for line in epochs if line["stage"] == "classifier" and line["task"] in nets]
    drawn = generator_film.drawn(run)
    if not learned or not drawn:
        raise BadInput(f"{run.path / EPOCHS}: lacks the run's epochs; run it anew with --fresh")
    pictures_drawn = generator_film.grids(run.generator)
    template = Environment(
        loader=PackageLoader("tenfold.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    ).get_template("page.html")
    return template.render(
        name=run.path.resolve().name,
        metrics=metrics,
        cv=cross_validation.CrossValidation(**metrics["cross_validation"]),
        data=run.read_json(DATA),
        members=settings.folds * settings.nets,
        confusion=counts.tolist(),
        most_confused=max(1, int((counts - np.diag(np.diag(counts))).max())),
        digits=diagnostics.per_digit(counts),
        losses=figures.losses(learned),
        validation_errors=figures.validation_errors(learned),
        reliability=figures.reliability(before, after),
        calibration=(diagnostics.calibration_error(before), diagnostics.calibration_error(after)),
        hardest=[_shown(row, images, oof) for row in hard.tolist()],
        label_errors=[_shown(row, images, oof) for row in wrong[: diagnostics.LABEL_ERRORS_SHOWN].tolist()],
        label_errors_found=len(wrong),
        warps=_uri(_warps([images[row] for row in stored["first"].tolist()], settings.warp)),
        warp=settings.warp,
        generated=_uri(pictures_drawn[-1]),
        film=_uri(generator_film.film(pictures_drawn), "gif"),
        networks=networks.diagram(settings.cgan),
        players=figures.players(drawn),
        scores=figures.scores(drawn),
        varieties=figures.variety(drawn),
        variety=drawn[-1]["variety"],
        quality=metrics["generator"],
        expanded=settings.cgan.share,
        reserve=settings.cgan.reserve,
        timeline=figures.timeline(epochs),
        seconds=epoch_log.by_stage(epochs),
        settings=flat(to_table(settings)),
        environment=flat(run.read_json(ENVIRONMENT)),
    )


def _shown(row: int, images: dict[int, npt.NDArray[np.uint8]], oof: dict[str, npt.NDArray[Any]]) -> Shown:
    if row not in images:
        raise BadInput(f"{PICTURES}: belongs to other answers than {OOF}; run it anew with --fresh")
    probabilities = oof["probabilities"][row]
    likeliest = np.argsort(-probabilities, kind="stable")[:2]
    source, place = oof["origin"][row]
    return Shown(
        _uri(sheet_png(images[row][None], 1, gap=0)),
        int(oof["labels"][row]),
        [(int(digit), float(probabilities[digit])) for digit in likeliest],
        f"{source}, row {place}",
    )


def _warps(originals: Sequence[npt.NDArray[np.uint8]], settings: Warp) -> bytes:
    """A sheet with a digit a row: itself, then warped as training sees it."""
    images = torch.from_numpy(np.stack(originals)).unsqueeze(1).float() / 255
    draws = torch.Generator().manual_seed(0)
    columns = [images, *(warped(images, settings, draws) for _ in range(WARPS))]
    sheet = (torch.stack(columns, 1) * 255).round().to(torch.uint8).reshape(-1, *images.shape[2:])
    return sheet_png(sheet.numpy(), 1 + WARPS)


def _uri(picture: bytes, kind: str = "png") -> str:
    return f"data:image/{kind};base64,{base64.b64encode(picture).decode()}"
