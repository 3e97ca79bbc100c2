"""What a fold learns from, and what can't reach it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import few_digits

from tenfold.digits import Digits
from tenfold.member import CLASSIFIER, GENERATOR, FoldTask, fit_member
from tenfold.record import RunFolder
from tenfold.settings import Cgan, Compute, Fit, Net, Settings

SETTINGS = Settings(
    net=Net((4, 8)),
    fit=Fit(epochs=1, epoch_images=64, batch_size=32),
    cgan=Cgan(share=0.25, epochs=1, epoch_images=64, batch_size=32, z_dim=8, width=4),
    compute=Compute("cpu", "fp32", 1, 1),
)


def weights(
    task: FoldTask, path: Path, names: Sequence[str] = (GENERATOR, CLASSIFIER, "grids/epoch-001.png")
) -> list[bytes]:
    """What the task's two nets have learnt, as the bytes of their files."""
    path.mkdir()
    fit_member(replace(task, run=RunFolder(path)), lambda record: None)
    return [(path / "fold-0" / name).read_bytes() for name in names]


@pytest.fixture
def task(tmp_path: Path) -> FoldTask:
    validation, test = few_digits(40, seed=2), few_digits(30, seed=3)
    return FoldTask(0, SETTINGS, few_digits(160, seed=1), validation, test.images, RunFolder(tmp_path))


def test_validation_and_test_digits_reach_neither_the_cgan_nor_the_classifier(task: FoldTask, tmp_path: Path) -> None:
    others, labels = few_digits(40, seed=8), np.zeros(40, np.int64)
    unlike = replace(
        task, validation=Digits.of("others", others.images, labels), test_images=few_digits(5, seed=9).images
    )
    assert weights(unlike, tmp_path / "b") == weights(task, tmp_path / "a")


def test_one_training_digit_reaches_both(task: FoldTask, tmp_path: Path) -> None:
    changed = task.train.images.copy()
    changed[7] = 255 - changed[7]
    unlike = replace(task, train=Digits.of("few", changed, task.train.known_labels()))
    before, after = weights(task, tmp_path / "a"), weights(unlike, tmp_path / "b")
    assert all(a != b for a, b in zip(before[:2], after[:2], strict=True))
