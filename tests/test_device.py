"""What "auto" becomes on a machine, and which requests the machine can't meet."""

from __future__ import annotations

import os

import pytest
import torch

from tenfold.errors import BadInput
from tenfold.settings import Compute
from tenfold.training import device
from tenfold.training.device import autocast, prepare_process, resolve


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Six cores that multiply bf16, and no accelerator."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(6)), raising=False)
    monkeypatch.setattr(device, "multiplies_bf16", lambda name: name == "cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)


@pytest.mark.parametrize(("tasks", "workers", "threads"), [(1, 1, 6), (4, 4, 1), (2, 2, 3), (30, 6, 1)])
def test_workers_share_the_cores(tasks: int, workers: int, threads: int) -> None:
    assert resolve(Compute(), tasks) == Compute("cpu", "bf16", workers, threads)


def test_explicit_settings_are_kept() -> None:
    requested = Compute("cpu", "fp32", workers=3, threads=5)
    assert resolve(requested, 1) == requested


def test_auto_takes_an_accelerator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    resolved = resolve(Compute(), 30)
    assert (resolved.device, resolved.precision, resolved.workers) == ("cuda", "fp32", device.WORKERS_ON_CUDA)
    assert resolve(Compute(device="cpu"), 30).device == "cpu"


def test_auto_takes_fp32_where_bf16_is_emulated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "multiplies_bf16", lambda name: False)
    assert resolve(Compute(), 1).precision == "fp32"
    with pytest.raises(BadInput, match="precision: this cpu does not multiply bf16 natively"):
        resolve(Compute(precision="bf16"), 1)


@pytest.mark.parametrize("name", ["cuda", "mps"])
def test_a_missing_device_is_refused(name: str) -> None:
    with pytest.raises(BadInput, match=rf"device: {name} is not available \(this torch sees none\); use auto"):
        resolve(Compute(device=name), 1)  # type: ignore[arg-type]


@pytest.mark.parametrize(("precision", "dtype"), [("bf16", torch.bfloat16), ("fp32", torch.float32)])
def test_training_multiplies_in_the_requested_precision(precision: str, dtype: torch.dtype) -> None:
    compute = Compute("cpu", precision, workers=1, threads=1)  # type: ignore[arg-type]
    assert prepare_process(compute) == torch.device("cpu") and torch.get_num_threads() == 1
    with autocast(compute):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == dtype
