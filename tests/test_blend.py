"""Several runs as one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from conftest import SMOKE, tenfold

from digit_recognizer import submission


@pytest.fixture(scope="module")
def other_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Other folds, other nets, the same digits."""
    home = tmp_path_factory.mktemp("other")
    quick = ["--fit.epochs", "1", "--cgan.share", "0", "--cgan.width", "4", "--light.epochs", "1"]
    done = tenfold(*SMOKE, *quick, "--seed", "5", "--folds", "3", "--nets", "2", "--out", "run", cwd=home)
    assert done.returncode == 0, done.stderr
    return home / "run"


def arrays(run: Path, name: str) -> dict[str, np.ndarray]:  # type: ignore[type-arg]
    with np.load(run / name) as stored:
        return dict(stored)


def test_a_blend_is_the_mean_of_its_runs(finished_run: Path, other_run: Path, tmp_path: Path) -> None:
    done = tenfold("blend", finished_run, other_run, "--out", "both", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    both = tmp_path / "both"
    for name in ("oof.npz", "test_probabilities.npz"):
        parts = [arrays(run, name)["probabilities"] for run in (finished_run, other_run)]
        assert arrays(both, name)["probabilities"] == pytest.approx(np.mean(parts, axis=0), abs=1e-6)
    said = arrays(both, "test_probabilities.npz")["probabilities"].argmax(1)
    assert (submission.read(both / "submission.csv") == said).all()

    metrics = json.loads((both / "metrics.json").read_text())
    oof = arrays(both, "oof.npz")
    assert metrics["cross_validation"]["errors"] == (oof["probabilities"].argmax(1) != oof["labels"]).sum()
    assert metrics["source"] == "sample"  # by which `tenfold submit` finds those of Kaggle's files
    assert metrics["honest"] is True and metrics["judge"]["rows"] == 360
    scored = tenfold("score", both / "submission.csv", "--source", "sample", cwd=tmp_path)
    assert f"({metrics['judge']['errors']} errors)" in scored.stdout


@pytest.mark.slow
def test_a_blend_can_be_blended_again(finished_run: Path, other_run: Path, tmp_path: Path) -> None:
    assert tenfold("blend", other_run, finished_run, "--out", "both", cwd=tmp_path).returncode == 0
    assert tenfold("blend", "both", finished_run, "--out", "again", cwd=tmp_path).returncode == 0
    once, twice, one = (
        arrays(run, "test_probabilities.npz")["probabilities"]
        for run in (tmp_path / "both", tmp_path / "again", finished_run)
    )
    assert twice == pytest.approx((once + one) / 2, abs=1e-6)


def test_a_leaked_run_makes_a_leaked_blend(finished_run: Path, other_run: Path, tmp_path: Path) -> None:
    shutil.copytree(other_run, tmp_path / "leaked")
    metrics = json.loads((other_run / "metrics.json").read_text())
    (tmp_path / "leaked/metrics.json").write_text(json.dumps(metrics | {"honest": False}))
    done = tenfold("blend", finished_run, "leaked", "--out", "both", cwd=tmp_path)
    assert done.returncode == 0 and "LEAKED" in done.stdout
    assert json.loads((tmp_path / "both/metrics.json").read_text())["honest"] is False


def test_what_cannot_be_blended_is_refused_in_a_sentence(finished_run: Path, other_run: Path, tmp_path: Path) -> None:
    for name in ("foreign", "cut"):
        shutil.copytree(other_run, tmp_path / name)
    data = json.loads((other_run / "data.json").read_text())
    (tmp_path / "foreign/data.json").write_text(json.dumps(data | {"test_sha256": "0"}))
    (tmp_path / "cut/oof.npz").write_bytes((other_run / "oof.npz").read_bytes()[:1000])
    for arguments, complaint in (
        ([finished_run], "takes two or more runs"),
        ([finished_run, finished_run], "named twice"),
        ([finished_run, "nowhere"], "nowhere/data.json: can't be read"),
        ([finished_run, "foreign"], "foreign: was run on other digits than"),
        ([finished_run, "cut"], "cut/oof.npz: can't be read"),
        ([finished_run, other_run, "--out", "foreign"], "foreign: is not empty"),
    ):
        done = tenfold("blend", *arguments, cwd=tmp_path)
        assert done.returncode == 2 and complaint in done.stderr and done.stderr.count("\n") == 1, done.stderr
    assert not (tmp_path / "runs").exists()
