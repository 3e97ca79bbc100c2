"""Whether generated digits help where real ones are few: nets with and without them, on the same digits."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from benchmarks.scores import kaggle
from sklearn.model_selection import train_test_split

from tenfold.data.batches import Expansion
from tenfold.models.inference import Sampler, for_inference, probabilities, sampler
from tenfold.seeds import SeedStream
from tenfold.settings import Cgan, Compute, Fit, Net, Settings
from tenfold.training.device import prepare_process, resolve
from tenfold.training.fit_classifier import fit_classifier
from tenfold.training.fit_generator import fit_generator, variety

SHOWN: Final = 33_600  # real digits an epoch however few there are, as in a fold of the 42,000
EPOCHS: Final = 4


def measure(n: int, shares: tuple[float, ...], cgan: Cgan, seed: int, data: Path) -> dict[str, Any]:
    """Errors on the rest of the 42,000 of nets that learnt from `n` of them, one thread: a net for each share.

    Every net has the same digits, warps and steps; its generator was fitted on the same `n`.
    """
    train, _, _ = kaggle(data)
    few, rest = train_test_split(np.arange(len(train)), train_size=n, random_state=seed, stratify=train.known_labels())
    seen, unseen = train.take(few), train.take(rest)
    compute = resolve(Compute(workers=1, threads=1), 1)
    settings = Settings(
        seed=seed,
        net=Net(tta_shift_px=0),
        fit=Fit(epochs=EPOCHS, epoch_images=SHOWN),
        cgan=replace(cgan, epoch_images=SHOWN),
        compute=compute,
    )
    device = prepare_process(compute)
    images, labels = (torch.from_numpy(part).to(device) for part in (seen.images, seen.known_labels()))
    stream = SeedStream(seed, 0)
    started = time.perf_counter()
    generator = fit_generator(images, labels, settings, stream, None, lambda *_: None)
    fitted_s = time.perf_counter() - started
    wrong = {}
    for share in shares:
        sample: Sampler | None = sampler(generator, cgan.z_dim) if share else None
        expansion = Expansion(images, labels, settings.warp, settings.fit.batch_size, SHOWN, share, sample)
        net = fit_classifier(expansion, settings, stream, None, lambda *_: None)
        said = probabilities(for_inference(net, settings.net), unseen.images, device).argmax(1)
        wrong[share] = said != unseen.known_labels()
    return {
        "n": n,
        "seed": seed,
        "cgan_epochs": cgan.epochs,
        "variety": round(variety(generator, images, labels, settings, stream), 4),
        "seconds": round(fitted_s, 1),
        "rows": len(unseen),
        "errors": {str(share): int(its.sum()) for share, its in wrong.items()},
        "accuracy": {str(share): round(float(1 - its.mean()), 5) for share, its in wrong.items()},
    }
