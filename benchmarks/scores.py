"""What a training costs, and its score on Kaggle's 28,000 test rows. The score is reported; nothing is chosen by it."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from benchmarks.references import REFERENCES, predicted, trained

from tenfold.errors import RunFailed
from tenfold.models.inference import for_inference
from tenfold.seeds import ALL_DIGITS, SeedStream
from tenfold.settings import Compute, Data, Fit, Net
from tenfold.studies import plain_loop
from tenfold.studies.cells import load_material
from tenfold.studies.reference_net import train_classifier
from tenfold.training.device import autocast, prepare_process


def preset(name: str, data: Path, more: Sequence[str], keep: Path | None) -> dict[str, Any]:
    """A whole run in processes of its own: wall time of the command, and its scores.

    The run's folder is `keep`, or a temporary one.
    """
    with tempfile.TemporaryDirectory() as folder:
        run = keep or Path(folder) / "run"
        options = ["--preset", name, "--source", "kaggle", "--data", str(data), "--out", str(run), *more]
        started = time.perf_counter()
        done = subprocess.run([sys.executable, "-m", "tenfold", "run", *options], check=False)
        if done.returncode:
            raise RunFailed(f"`tenfold run {' '.join(options)}` ended with code {done.returncode}")
        elapsed = time.perf_counter() - started
        metrics = json.loads((run / "metrics.json").read_text())
        minutes = max(elapsed, metrics["seconds"]["total"]) / 60  # a continued run includes its earlier starts
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
    material = load_material(Data("kaggle", data), Compute(workers=1))
    prepare_process(material.compute)
    fitted = train_classifier(material.train, fit, material.compute, SeedStream(seed, ALL_DIGITS), net)
    labels = plain_loop.predicted(for_inference(fitted, net), material.test.images)
    seconds = time.perf_counter() - started
    errors = int((labels != material.test.known_labels()).sum())
    return {
        "net": list(net.channels),
        "tta_shift_px": net.tta_shift_px,
        "epochs": fit.epochs,
        "seed": seed,
        "seconds": round(seconds, 1),
        "judge": round(1 - errors / len(labels), 5),
        "judge_errors": errors,
    }


def reference(name: str, seed: int, data: Path) -> dict[str, Any]:
    """A reference net with its own settings on all 42,000 rows, in the processor's best precision, on all cores."""
    material = load_material(Data("kaggle", data), Compute(workers=1))
    compute, labels = material.compute, torch.from_numpy(material.test.known_labels())
    prepare_process(compute)
    images, targets = torch.from_numpy(material.train.images), torch.from_numpy(material.train.known_labels())
    context = (lambda: autocast(compute)) if compute.precision == "bf16" else None
    started = time.perf_counter()
    *_, net = trained(REFERENCES[name], images, targets, seed, context)
    seconds = time.perf_counter() - started
    errors = int((predicted(net, torch.from_numpy(material.test.images)) != labels).sum())
    return {
        "name": name,
        "seed": seed,
        "precision": compute.precision,
        "epochs": REFERENCES[name].epochs,
        "training_s": round(seconds),
        "judge": round(1 - errors / len(labels), 5),
        "judge_errors": errors,
    }
