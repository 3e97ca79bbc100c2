"""Runs side by side: the differences are what the rows say, and what can't be paired is not."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from conftest import declare_again, in_process, succeeded

from tenfold.errors import BadInput
from tenfold.report.compare import Compared, Difference, compare, difference, read
from tenfold.storage.run_folder import RunFolder


def with_errors(run: Compared, wrong: npt.NDArray[np.bool_]) -> Compared:
    """A run whose out-of-fold predictions are wrong on these rows alone."""
    probs = np.eye(10, dtype=np.float32)[(run.oof.labels + wrong) % 10]
    return replace(run, oof=replace(run.oof, probabilities=probs))


def test_a_run_does_not_differ_from_itself(finished_run: Path) -> None:
    assert difference(read(finished_run), read(finished_run)) == Difference(0, 0, 0, 0)


def test_the_difference_is_of_rows_with_its_standard_error(finished_run: Path) -> None:
    run = read(finished_run)
    n = len(run.wrong)
    first, second = np.zeros(n, bool), np.zeros(n, bool)
    first[:10], second[5:30] = True, True  # five in common, five gained, twenty lost
    result = difference(with_errors(run, second), with_errors(run, first))
    assert result and result.errors == 15
    assert result.errors_se == pytest.approx(np.sqrt(25 - 15**2 / n) * np.sqrt(n / (n - 1)))
    folds = [-(second.astype(int) - first)[run.oof.fold == fold].mean() for fold in (0, 1)]
    assert result.accuracy == pytest.approx(np.mean(folds))
    assert result.accuracy_se == pytest.approx(np.std(folds, ddof=1) / np.sqrt(2))


def test_rows_that_only_one_run_validated_are_left_out(finished_run: Path) -> None:
    run = read(finished_run)
    kept = np.arange(len(run.wrong)) % 3 > 0
    wrong = run.wrong.copy()
    wrong[kept.nonzero()[0][:5]] ^= True
    reversed_part = {name: getattr(run.oof, name)[kept][::-1] for name in ("probabilities", "labels", "fold", "origin")}
    result = difference(with_errors(run, wrong), replace(run, oof=replace(run.oof, **reversed_part)))
    assert result and result.errors == (wrong[kept].astype(int) - run.wrong[kept]).sum()
    assert result.errors_se > 0 and result.accuracy is not None


def test_other_digits_and_other_folds_are_not_paired(finished_run: Path) -> None:
    run = read(finished_run)
    assert difference(run, replace(run, data=replace(run.data, train_sha256="another"))) is None
    result = difference(run, replace(run, oof=replace(run.oof, fold=1 - run.oof.fold)))
    assert result and result.errors == 0 and result.accuracy is None


def with_another_seed(run: Path, copy: Path) -> Path:
    """A copy of a run that says it had another seed."""
    shutil.copytree(run, copy)
    settings = (copy / "settings.toml").read_text()
    (copy / "settings.toml").write_text(settings.replace("seed = 0", "seed = 5"))
    declare_again(copy)
    return copy


def table(text: str) -> dict[str, list[str]]:
    """The rows of a table in Markdown, by their first cell."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()]
    return {row[0]: row[1:] for row in rows}


def test_the_table_has_both_runs_and_settings_that_differ(finished_run: Path, tmp_path: Path) -> None:
    other = with_another_seed(finished_run, tmp_path / "other")
    rows = table(succeeded(in_process("compare", finished_run, other, cwd=tmp_path)))
    assert rows[""] == [str(finished_run), str(other)]
    assert rows["seed"] == ["0", "5"] and "folds" not in rows
    assert rows[f"errors minus those of {finished_run}"] == ["", "+0 ± 0.0"]
    cv = RunFolder(finished_run).read_json("metrics.json")["cross_validation"]
    assert rows["cross-validation"] == [f"{cv['mean']:.5f} ± {cv['std']:.5f}"] * 2


def test_a_blend_stands_beside_its_runs(finished_run: Path, tmp_path: Path) -> None:
    other = with_another_seed(finished_run, tmp_path / "runs/other")
    succeeded(in_process("blend", finished_run, other, cwd=tmp_path))
    rows = table(succeeded(in_process("compare", finished_run, other, "runs/blend", cwd=tmp_path)))
    assert rows[f"errors minus those of {finished_run}"] == ["", "+0 ± 0.0", "+0 ± 0.0"]
    assert rows["seed"] == ["0", "5", ""] and "folds" not in rows
    (light,) = (cells for name, cells in rows.items() if "light net" in name)
    assert light[2] == "none"
    one, both = (read(run).metrics.seconds["total"] for run in (finished_run, tmp_path / "runs/blend"))
    assert both == pytest.approx(2 * one, abs=0.1)


def test_one_run_is_too_few(finished_run: Path) -> None:
    with pytest.raises(BadInput, match="two or more"):
        compare([finished_run])
