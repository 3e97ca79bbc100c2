"""What a training costs and scores on Kaggle's 28,000 test rows. The judge reports here; nothing is chosen by it."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from benchmarks.references import REFERENCES, trained

from tenfold.data import overlap
from tenfold.data.batches import Expansion
from tenfold.data.digits import Digits
from tenfold.errors import RunFailed
from tenfold.evaluation import judge
from tenfold.models.inference import for_inference, probabilities
from tenfold.seeds import ALL_DIGITS, SeedStream
from tenfold.settings import Compute, Data, Fit, Net, Settings
from tenfold.sources.load import load_sources, reference_digits
from tenfold.training.device import autocast, prepare_process, resolve
from tenfold.training.fit_classifier import fit_classifier


def preset(name: str, data: Path, more: Sequence[str], keep: Path | None) -> dict[str, Any]:
    """A whole run in processes of its own: wall time from the command to its end, and its scores.

    The run's folder is `keep`, or goes with the measurement.
    """
    with tempfile.TemporaryDirectory() as folder:
        run = keep or Path(folder) / "run"
        options = ["--preset", name, "--source", "kaggle", "--data", str(data), "--out", str(run), *more]
        started = time.perf_counter()
        done = subprocess.run([sys.executable, "-m", "tenfold.cli", "run", *options], check=False)
        if done.returncode:
            raise RunFailed(f"`tenfold run {' '.join(options)}` ended with code {done.returncode}")
        elapsed = time.perf_counter() - started
        metrics = json.loads((run / "metrics.json").read_text())
        minutes = max(elapsed, metrics["seconds"]["total"]) / 60  # a continued run counts what came before
    return {
        "preset": name,
        "options": list(more),
        "minutes": round(minutes, 1),
        "cv": [round(metrics["cross_validation"][key], 5) for key in ("mean", "std")],
        "cv_errors": metrics["cross_validation"]["errors"],
        "judge_errors": metrics["judge"]["errors"],
        "judge": round(metrics["judge"]["accuracy"], 5),
        "light_judge": round(metrics["judge_light"]["accuracy"], 5),
        "seconds": metrics["seconds"],
    }


def one_net(net: Net, fit: Fit, seed: int, data: Path) -> dict[str, Any]:
    """One net of ours on all 42,000 training rows, all cores on it: seconds from reading the files to the answers."""
    started = time.perf_counter()
    train, test, key = kaggle(data)
    settings = Settings(seed=seed, net=net, fit=fit, compute=resolve(Compute(workers=1), 1))
    device = prepare_process(settings.compute)
    images, labels = torch.from_numpy(train.images).to(device), torch.from_numpy(train.known_labels()).to(device)
    expansion = Expansion(images, labels, settings.warp, fit.batch_size, fit.epoch_images)
    fitted = fit_classifier(expansion, settings, SeedStream(seed, ALL_DIGITS), None, lambda *_: None)
    said = probabilities(for_inference(fitted, net), test.images, device).argmax(1)
    seconds = time.perf_counter() - started
    return {
        "net": list(net.channels),
        "tta_shift_px": net.tta_shift_px,
        "epochs": fit.epochs,
        "seed": seed,
        "seconds": round(seconds, 1),
        "judge": round(float((said == key).mean()), 5),
        "judge_errors": int((said != key).sum()),
    }


def reference(name: str, seed: int, data: Path) -> dict[str, Any]:
    """A reference net with its own settings on all 42,000, in the processor's best precision, one thread a core."""
    train, test, key = kaggle(data)
    compute = resolve(Compute(workers=1), 1)
    prepare_process(compute)
    images, labels = torch.from_numpy(train.images), torch.from_numpy(train.known_labels())
    context = (lambda: autocast(compute)) if compute.precision == "bf16" else None
    started = time.perf_counter()
    for net in trained(REFERENCES[name], images, labels, seed, context):
        last = net
    seconds = time.perf_counter() - started
    with torch.inference_mode():
        parts = torch.from_numpy(test.images).split(500)
        said = torch.cat([last((part.unsqueeze(1).float() / 255 - 0.1307) / 0.3081).argmax(1) for part in parts])
    wrong = int((said.numpy() != key).sum())
    return {
        "name": name,
        "seed": seed,
        "precision": compute.precision,
        "epochs": REFERENCES[name].epochs,
        "training_s": round(seconds),
        "judge": round(1 - wrong / len(key), 5),
        "judge_errors": wrong,
    }


def kaggle(data: Path) -> tuple[Digits, Digits, np.ndarray[Any, np.dtype[np.int64]]]:
    """What may be trained on, the test rows, and the judge's key."""
    where = Data(source="kaggle", data=data)
    found = load_sources(where)
    train, _ = overlap.guard(found.train, found.extra, found.test, "honest")
    return train, found.test, judge.answer_key(found.test, reference_digits(where))
