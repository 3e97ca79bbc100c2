"""The generator alone: fitted without the rest of a run, and scored.

Its folder is that of a run which has nothing else yet: `tenfold run` with the same settings does the rest.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

from tenfold.data.folds import stratified
from tenfold.data.overlap import DataRecord
from tenfold.errors import BadInput
from tenfold.evaluation import judge
from tenfold.evaluation.generator_quality import Quality
from tenfold.evaluation.model_card import common_card
from tenfold.evaluation.results import score_generator
from tenfold.models.export import write_models
from tenfold.models.weights import load_generator, load_light
from tenfold.orchestration.plan import Plan
from tenfold.orchestration.progress import Display
from tenfold.orchestration.warm_start import load_parent
from tenfold.report import generator_film
from tenfold.run import load_digits, run, training
from tenfold.settings import Settings
from tenfold.storage.lock import hold
from tenfold.storage.run_folder import ENVIRONMENT, GENERATOR, GENERATOR_SCORES, RunFolder
from tenfold.training.task_folder import is_trained
from tenfold_onnx.contract import GENERATOR_ONNX
from tenfold_onnx.write.export import export_generator


def fit_final_generator(settings: Settings, path: Path, fresh: bool = False) -> None:
    """Fit the final generator of resolved settings on all training digits in the folder `path`, and export it.

    Raises as `run` does; the same call resumes.
    """
    folder = RunFolder(path)
    run(settings, path, fresh=fresh, only=frozenset({folder.generator.name}))
    cgan, record = settings.cgan, DataRecord.load(folder)
    model = export_generator(load_generator(folder.generator / GENERATOR, cgan), cgan.z_dim)
    card = common_card(settings.data.source, record, folder.read_json(ENVIRONMENT))
    write_models(path, {GENERATOR_ONNX: model}, {GENERATOR_ONNX: card})
    generator_film.write(folder, cgan, folder.epoch_log.read())


def score_final_generator(path: Path, seeds: int) -> Quality:
    """Score the generator in the folder `path` and store the scores, after fitting what that needs.

    It needs the light net, fitted on the same training digits, and `seeds` nets that learn from generated digits
    alone. Raises BadInput where there is no generator, or its digits are gone.
    """
    settings = RunFolder(path).settings()
    parent = load_parent(settings)
    digits, test, record, _ = load_digits(settings, parent)
    with Display() as display, hold(path, settings, fresh=False) as folder:
        if not is_trained(folder.generator):
            raise BadInput(f"{folder.generator}: holds no generator; fit one with `tenfold gan fit --out {path}`")
        if DataRecord.load(folder).train_sha256 != record.train_sha256:
            raise BadInput(f"{path}: its generator was fitted on other digits than {settings.data.data} holds now")
        if seeds:
            test = judge.with_labels(test, settings.data)
        settings = replace(settings, cgan=replace(settings.cgan, cas_seeds=seeds if test.labels is not None else 0))
        plan = Plan(settings, folder, frozenset({folder.light.name, *(folder.cas(seed).name for seed in range(seeds))}))
        fold_of = stratified(digits, settings.folds, settings.seed, settings.cgan.reserve)
        with training(plan, display) as run_round:
            run_round(plan.net_tasks(digits, fold_of, parent))
            run_round(plan.scoring_tasks(test))
        display.step("scoring the generator")
        generator = load_generator(folder.generator / GENERATOR, settings.cgan)
        quality = score_generator(folder, settings, load_light(folder, settings), generator, digits, test)
        if quality is None:
            raise BadInput(f"{path}: there are too few test digits to compare generated ones with")
        folder.write_json(GENERATOR_SCORES, asdict(quality))
    return quality
