"""Several runs as one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from conftest import declare_again, in_process, refused, succeeded

from digit_recognizer import submission


def arrays(run: Path, name: str) -> dict[str, np.ndarray]:  # type: ignore[type-arg]
    with np.load(run / name) as stored:
        return dict(stored)


def test_a_blend_is_the_mean_of_its_runs(finished_run: Path, other_run: Path, tmp_path: Path) -> None:
    succeeded(in_process("blend", finished_run, other_run, "--out", "both", cwd=tmp_path))
    both = tmp_path / "both"
    for name in ("oof.npz", "test_probabilities.npz"):
        parts = [arrays(run, name)["probabilities"] for run in (finished_run, other_run)]
        assert arrays(both, name)["probabilities"] == pytest.approx(np.mean(parts, axis=0), abs=1e-6)
    labels = arrays(both, "test_probabilities.npz")["probabilities"].argmax(1)
    assert (submission.read(both / "submission.csv") == labels).all()

    metrics = json.loads((both / "metrics.json").read_text())
    oof = arrays(both, "oof.npz")
    assert metrics["cross_validation"]["errors"] == (oof["probabilities"].argmax(1) != oof["labels"]).sum()
    assert metrics["source"] == "sample"  # by which `tenfold submit` finds those of Kaggle's files
    assert metrics["honest"] is True and metrics["judge"]["rows"] == 1000
    score = in_process("score", both / "submission.csv", "--source", "sample", cwd=tmp_path)
    assert f"({metrics['judge']['errors']} errors)" in succeeded(score)


def test_a_blend_can_be_blended_again(finished_run: Path, other_run: Path, tmp_path: Path) -> None:
    succeeded(in_process("blend", other_run, finished_run, "--out", "both", cwd=tmp_path))
    succeeded(in_process("blend", "both", finished_run, "--out", "again", cwd=tmp_path))
    once, twice, one = (
        arrays(run, "test_probabilities.npz")["probabilities"]
        for run in (tmp_path / "both", tmp_path / "again", finished_run)
    )
    assert twice == pytest.approx((once + one) / 2, abs=1e-6)


def test_a_leaked_run_makes_a_leaked_blend(finished_run: Path, other_run: Path, tmp_path: Path) -> None:
    shutil.copytree(other_run, tmp_path / "leaked")
    metrics = json.loads((other_run / "metrics.json").read_text())
    (tmp_path / "leaked/metrics.json").write_text(json.dumps(metrics | {"honest": False}))
    declare_again(tmp_path / "leaked")
    assert "LEAKED" in succeeded(in_process("blend", finished_run, "leaked", "--out", "both", cwd=tmp_path))
    assert json.loads((tmp_path / "both/metrics.json").read_text())["honest"] is False


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("blend first", ["two or more runs"]),
        ("blend first first", ["named twice"]),
        ("blend first nowhere", ["nowhere: ", "not finished"]),
        ("blend first foreign", ["foreign: ", "digits"]),
        ("blend first cut", ["cut/oof.npz: "]),
        ("blend first second --out foreign", ["foreign: ", "empty"]),
    ],
)
def test_runs_that_cannot_be_blended_are_refused(
    command: str, words: list[str], finished_run: Path, other_run: Path, tmp_path: Path
) -> None:
    (tmp_path / "first").symlink_to(finished_run)
    (tmp_path / "second").symlink_to(other_run)
    for name in ("foreign", "cut"):
        shutil.copytree(other_run, tmp_path / name)
    data = json.loads((other_run / "data.json").read_text())
    (tmp_path / "foreign/data.json").write_text(json.dumps(data | {"test_sha256": "0"}))
    declare_again(tmp_path / "foreign")
    (tmp_path / "cut/oof.npz").write_bytes((other_run / "oof.npz").read_bytes()[:1000])
    sentence = refused(*command.split(), cwd=tmp_path)
    assert all(word in sentence for word in words), sentence
    assert not (tmp_path / "runs").exists()
