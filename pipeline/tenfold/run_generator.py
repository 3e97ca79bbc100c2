"""A generator by itself: fitted without the rest of a run, scored, and what there is to look at.

Its folder is a run's, of which the generator is a part: `tenfold run` with the same settings does the rest.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from tenfold import run
from tenfold.data import folds, overlap
from tenfold.errors import BadInput
from tenfold.evaluation import results
from tenfold.models import export
from tenfold.orchestration import warm_start
from tenfold.orchestration.plan import Plan
from tenfold.orchestration.progress import watched
from tenfold.report import generator_film
from tenfold.settings import Settings
from tenfold.sources.load import load_sources
from tenfold.storage.lock import hold
from tenfold.storage.run_folder import DATA, RunFolder
from tenfold.training.tasks import trained
from tenfold_onnx.contract import GENERATOR_ONNX

SCORE: Final = "generator.json"


def fit(settings: Settings, path: Path, fresh: bool = False) -> None:
    """Fit the generator of settled settings on all training digits in the folder `path`, and export it.

    Raises as `run.run` does; either way the same call continues.
    """
    folder = RunFolder(path)
    run.run(settings, path, fresh, part=frozenset({folder.generator.name}))
    export.export_generator_alone(folder)
    generator_film.write(folder)
    beside = f"{generator_film.FILM}, {generator_film.NETWORKS}, curves"
    print(f"written in {path}: {GENERATOR_ONNX}; in {folder.generator}: {beside}")


def score(path: Path, seeds: int) -> dict[str, Any]:
    """Score the generator in the folder `path`, fitting what that needs there; store and give the scores.

    Needed are a net that reads digits, fitted on the same training digits, and `seeds` nets that learn from
    generated digits alone. Raises BadInput where there is no generator, or the digits are not at hand any more.
    """
    settings = RunFolder(path).settings()
    found = load_sources(settings.data)
    with hold(path, settings, fresh=False) as folder:
        if not trained(folder.generator):
            raise BadInput(f"{folder.generator}: holds no generator; fit one with `tenfold gan fit --out {path}`")
        digits, _ = overlap.guard(found.train, found.extra, found.test, settings.data.overlap)
        if digits.sha256() != folder.read_json(DATA)["train_sha256"]:
            raise BadInput(f"{path}: its generator was fitted on other digits than {settings.data.data} holds now")
        known = results.labelled(found.test, settings.data) if seeds else None
        asked = replace(settings, cgan=replace(settings.cgan, cas_seeds=seeds if known else 0))
        plan = Plan(asked, folder, frozenset({folder.light.name, *(folder.cas(seed).name for seed in range(seeds))}))
        for line in plan.made_ready():
            print(line)
        with watched(plan.planned(), folder, settings.compute.workers, tensorboard=False) as report:
            fold_of = folds.stratified(digits, settings.folds, settings.seed, settings.cgan.reserve)
            second = plan.second_round(digits, fold_of, warm_start.parent(settings))
            run.run_all(second, settings.compute, report, None)
            if known:
                run.run_all(plan.third_round(known), settings.compute, report, None)
        scores = results.score_generator(folder, digits, known or found.test, asked.cgan.cas_seeds)
        if scores is None:
            raise BadInput(f"{path}: there are too few test digits to hold generated ones against")
        folder.write_json(SCORE, scores)
    return scores
