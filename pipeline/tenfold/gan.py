"""A generator by itself: fitted without the rest of a run, scored, and what there is to look at.

Its folder is a run's, of which the generator is a part: `tenfold run` with the same settings does the rest.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from tenfold import artefacts, folds, inherit, overlap, record, results, run, sources
from tenfold.errors import BadInput
from tenfold.folder import DATA, RunFolder
from tenfold.plan import Plan
from tenfold.progress import watched
from tenfold.report import portrait
from tenfold.settings import Settings
from tenfold.tasks import trained
from tenfold_onnx.contract import GENERATOR_ONNX

SCORE: Final = "generator.json"


def fit(settings: Settings, path: Path, fresh: bool = False) -> None:
    """Fit the generator of settled settings on all training digits in the folder `path`, and export it.

    Raises as `run.run` does; either way the same call continues.
    """
    folder = RunFolder(path)
    run.run(settings, path, fresh, part=frozenset({folder.generator.name}))
    artefacts.export_generator_alone(folder)
    portrait.write(folder)
    print(f"written in {path}: {GENERATOR_ONNX}; in {folder.generator}: {portrait.FILM}, {portrait.NETWORKS}, curves")


def score(path: Path, seeds: int) -> dict[str, Any]:
    """Score the generator in the folder `path`, fitting what that needs there; store and give the scores.

    Needed are a net that reads digits, fitted on the same training digits, and `seeds` nets that learn from
    generated digits alone. Raises BadInput where there is no generator, or the digits are not at hand any more.
    """
    settings = RunFolder(path).settings()
    found = sources.load(settings.data)
    with record.opened(path, settings, fresh=False) as folder:
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
            second = plan.second_round(digits, fold_of, inherit.parent(settings))
            run.carry_out(second, settings.compute, report, None)
            if known:
                run.carry_out(plan.third_round(known), settings.compute, report, None)
        scores = results.generator_quality(folder, digits, known or found.test, asked.cgan.cas_seeds)
        if scores is None:
            raise BadInput(f"{path}: there are too few test digits to hold generated ones against")
        folder.write_json(SCORE, scores)
    return scores
