"""What a generator is worth, judged on training rows that it did not see: the table that its settings are chosen by."""

from __future__ import annotations

import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final

import torch
from benchmarks.scores import kaggle

from tenfold.data import folds
from tenfold.data.batches import Expansion
from tenfold.evaluation import generator_quality
from tenfold.models.classifier import Classifier
from tenfold.models.inference import probabilities, sampler
from tenfold.models.weights import load_weights, save_weights
from tenfold.orchestration.plan import CAS_DIGITS
from tenfold.seeds import SeedStream
from tenfold.settings import Cgan, Compute, Fit, Net, Settings, scoring_settings
from tenfold.training.device import prepare_process, resolve
from tenfold.training.fit_classifier import fit_classifier
from tenfold.training.fit_generator import fit_generator

JUDGE: Final = Settings(net=Net(tta_shift_px=0), fit=Fit(epochs=6), compute=Compute(workers=1, threads=1))


def measure(cgan: Cgan, seed: int, judge: Path, data: Path) -> dict[str, Any]:
    """Fit on the training part of fold 0 of 5, on one thread; judge on the 8,400 rows that the fold validates.

    `judge` holds the weights of the net that looks at the digits, trained on the same rows once and then kept.
    """
    train, _, _ = kaggle(data)
    fold_of = folds.stratified(train, 5, seed=0)
    seen, unseen = train.take(fold_of != 0), train.take(fold_of == 0)
    settings = replace(JUDGE, seed=seed, cgan=cgan, compute=resolve(JUDGE.compute, 1))
    device = prepare_process(settings.compute)
    images, labels = (torch.from_numpy(part).to(device) for part in (seen.images, seen.known_labels()))
    if not judge.exists():
        save_weights(judge, _fitted(images, labels, replace(settings, seed=0)))
    net = Classifier(JUDGE.net).to(device).eval()
    load_weights(judge, net)
    started = time.perf_counter()
    records: list[dict[str, Any]] = []
    generator = fit_generator(
        images, labels, settings, SeedStream(seed, 0), None, lambda record, *_: records.append(record)
    )
    seconds = time.perf_counter() - started
    sample = sampler(generator, cgan.z_dim)
    found = generator_quality.measured(net, sample, seen.images, unseen.images, seed, device)
    asked = torch.arange(CAS_DIGITS, device=device) % 10
    made = sample(asked, torch.Generator(device).manual_seed(SeedStream(seed, 0).seed_of("cas")))
    student = _fitted(made, asked, scoring_settings(settings))
    right = probabilities(student, unseen.images, device).argmax(1) == unseen.known_labels()
    return {
        "cgan": asdict(cgan),
        "seed": seed,
        "seconds": round(seconds, 1),
        "variety": records[-1]["variety"],
        "cas": round(float(right.mean()), 5),
        "quality": asdict(found),
    }


def _fitted(images: torch.Tensor, labels: torch.Tensor, settings: Settings) -> Classifier:
    fit = settings.fit
    expansion = Expansion(images, labels, settings.warp, fit.batch_size, fit.epoch_images)
    return fit_classifier(expansion, settings, SeedStream(settings.seed, 0), None, lambda *_: None)
