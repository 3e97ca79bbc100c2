"""Latency of the light net: onnxruntime and torch on one thread, batches of 1, 32, 1000; and a cold start."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from tenfold.models.weights import load_classifier
from tenfold.settings import Net
from tenfold.storage.run_folder import CLASSIFIER, RunFolder
from tenfold.training.device import multiplies_bf16
from tenfold_onnx import Classifier

BATCHES: Final = (1, 32, 1000)
COLD: Final = """
import time
started = time.perf_counter()
import re, sys
from pathlib import Path
import numpy as np
from tenfold_onnx import Classifier
Classifier(sys.argv[1], threads=1).predict(np.zeros((1, 28, 28), np.uint8))
# Not getrusage's peak, which on Linux starts from that of the parent process.
peak = re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())
print(time.perf_counter() - started, int(peak[1]) / 1024)
"""


def measure(run: Path, rounds: int) -> dict[str, Any]:
    """Milliseconds per call (median of up to `rounds`) by engine and batch; seconds and MB of a cold start."""
    torch.set_num_threads(1)
    folder = RunFolder(run)
    net = load_classifier(folder.light / CLASSIFIER, Net(folder.settings().light.channels, tta_shift_px=0))
    net = net.to(memory_format=torch.channels_last)
    session = Classifier(run / "classifier_light.onnx", threads=1).session
    engines: dict[str, Callable[[np.ndarray[Any, Any]], object]] = {
        "onnxruntime": lambda images: session.run(["probabilities", "label"], {"images": images}),
        "torch": lambda images: _predict(net, images, torch.float32),
    }
    if multiplies_bf16("cpu"):
        engines["torch bf16"] = lambda images: _predict(net, images, torch.bfloat16)
    times: dict[str, dict[str, float]] = {name: {} for name in engines}
    for batch in BATCHES:
        images = np.random.default_rng(0).integers(0, 256, (batch, 28, 28), dtype=np.uint8)
        repeats = max(5, rounds // batch)
        taken: dict[str, list[float]] = {name: [] for name in engines}
        for repeat in range(repeats + 3):
            for name, engine in engines.items():  # in turns, so that noise hits all of them
                started = time.perf_counter()
                engine(images)
                if repeat >= 3:
                    taken[name].append(1000 * (time.perf_counter() - started))
        for name, values in taken.items():
            times[name][str(batch)] = round(statistics.median(values), 3)
    cold = [_cold(run / "classifier_light.onnx") for _ in range(5)]
    return {
        "channels": list(folder.settings().light.channels),
        "ms": times,
        "cold_s": [round(seconds, 3) for seconds, _ in cold],
        "cold_mb": round(max(megabytes for _, megabytes in cold)),
    }


@torch.inference_mode()
def _predict(net: torch.nn.Module, images: np.ndarray[Any, Any], dtype: torch.dtype) -> object:
    x = torch.from_numpy(images).to(torch.float32).div(255).unsqueeze(1).contiguous(memory_format=torch.channels_last)
    with torch.autocast("cpu", dtype) if dtype != torch.float32 else nullcontext():
        return net(x).softmax(1)


def _cold(model: Path) -> tuple[float, float]:
    done = subprocess.run([sys.executable, "-c", COLD, model], capture_output=True, text=True, check=True)
    seconds, megabytes = map(float, done.stdout.split())
    return seconds, megabytes
