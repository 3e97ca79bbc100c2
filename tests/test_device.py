"""What "auto" becomes, and what asked for by name is refused."""

from __future__ import annotations

import pytest
import torch

from tenfold.errors import BadInput
from tenfold.settings import Compute
from tenfold.training import device
from tenfold.training.device import resolve


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Six cores that multiply bf16, and no accelerator."""
    monkeypatch.setattr(device, "_cores", lambda: 6)
    monkeypatch.setattr(device, "multiplies_bf16", lambda device: device == "cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)


@pytest.mark.parametrize(("tasks", "workers", "threads"), [(1, 1, 6), (4, 4, 1), (2, 2, 3), (30, 6, 1)])
def test_processes_share_the_cores(tasks: int, workers: int, threads: int) -> None:
    assert resolve(Compute(), tasks) == Compute("cpu", "bf16", workers, threads)


def test_what_is_named_stays() -> None:
    asked = Compute("cpu", "fp32", workers=3, threads=5)
    assert resolve(asked, 1) == asked


def test_auto_takes_the_accelerator_and_fp32_where_bf16_is_not_multiplied(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    found = resolve(Compute(), 30)
    assert (found.device, found.precision, found.workers) == ("cuda", "fp32", device.SIDE_BY_SIDE_ON_CUDA)
    assert resolve(Compute(device="cpu"), 30).device == "cpu"


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        (Compute(device="cuda"), "device: cuda is not there"),
        (Compute(device="mps"), "device: mps is not there"),
    ],
)
def test_a_device_that_is_not_there_is_refused(asked: Compute, sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence):
        resolve(asked, 1)


def test_a_precision_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "multiplies_bf16", lambda device: False)
    with pytest.raises(BadInput, match="precision: bf16 is not there"):
        resolve(Compute(precision="bf16"), 1)
    assert resolve(Compute(), 1).precision == "fp32"
