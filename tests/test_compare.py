"""Runs side by side: the differences are what the rows say, and what can't be paired is not."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import tenfold

from tenfold.errors import BadInput
from tenfold.report.compare import compare, difference, read
from tenfold.storage.run_folder import RunFolder


def test_a_run_differs_from_itself_by_nothing(finished_run: Path) -> None:
    found = difference(read(finished_run), read(finished_run))
    assert found and (found.errors, found.errors_se, found.accuracy, found.accuracy_se) == (0, 0, 0, 0)


def test_the_difference_is_of_rows_with_the_error_of_their_sum(finished_run: Path) -> None:
    run = read(finished_run)
    n = len(run.wrong)
    first, second = np.zeros(n, bool), np.zeros(n, bool)
    first[:10], second[5:30] = True, True  # five in common, five gained, twenty lost
    found = difference(replace(run, wrong=second), replace(run, wrong=first))
    assert found and found.errors == 15
    assert found.errors_se == pytest.approx(np.sqrt(25 - 15**2 / n) * np.sqrt(n / (n - 1)))
    folds = [-(second.astype(int) - first)[run.fold == fold].mean() for fold in (0, 1)]
    assert found.accuracy == pytest.approx(np.mean(folds))
    assert found.accuracy_se == pytest.approx(np.std(folds, ddof=1) / np.sqrt(2))


def test_rows_that_only_one_run_validated_are_left_out(finished_run: Path) -> None:
    run = read(finished_run)
    kept = np.arange(len(run.wrong)) % 3 > 0
    wrong = run.wrong.copy()
    wrong[kept.nonzero()[0][:5]] ^= True
    other = replace(run, row=run.row[kept][::-1], fold=run.fold[kept][::-1], wrong=run.wrong[kept][::-1])
    found = difference(replace(run, wrong=wrong), other)
    assert found and found.errors == (wrong[kept].astype(int) - run.wrong[kept]).sum()
    assert found.errors_se > 0 and found.accuracy is not None


def test_other_digits_are_not_paired_and_other_folds_not_over_folds(finished_run: Path) -> None:
    run = read(finished_run)
    assert difference(run, replace(run, train_sha256="another")) is None
    found = difference(run, replace(run, fold=1 - run.fold))
    assert found and found.errors == 0 and found.accuracy is None


def test_the_table_has_both_runs_and_what_differs_in_their_settings(finished_run: Path, tmp_path: Path) -> None:
    other = shutil.copytree(finished_run, tmp_path / "other")
    settings = (other / "settings.toml").read_text()
    (other / "settings.toml").write_text(settings.replace("seed = 0", "seed = 5"))
    done = tenfold("compare", finished_run, other, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in done.stdout.splitlines()]
    lines = {line[0]: line[1:] for line in cells}
    assert lines[""] == [str(finished_run), str(other)]
    assert lines["seed"] == ["0", "5"] and "folds" not in lines
    assert lines[f"errors against {finished_run}"] == ["", "+0 ± 0.0"]
    cv = RunFolder(finished_run).read_json("metrics.json")["cross_validation"]
    assert lines["cross-validation"] == [f"{cv['mean']:.5f} ± {cv['std']:.5f}"] * 2


def test_a_blend_stands_beside_its_runs(finished_run: Path, tmp_path: Path) -> None:
    other = shutil.copytree(finished_run, tmp_path / "runs/other")
    settings = (other / "settings.toml").read_text()
    (other / "settings.toml").write_text(settings.replace("seed = 0", "seed = 5"))
    assert tenfold("blend", finished_run, other, cwd=tmp_path).returncode == 0
    done = tenfold("compare", finished_run, other, "runs/blend", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in done.stdout.splitlines()]
    lines = {line[0]: line[1:] for line in cells}
    assert lines[f"errors against {finished_run}"] == ["", "+0 ± 0.0", "+0 ± 0.0"]
    assert lines["seed"] == ["0", "5", ""] and lines["judge, light net"][2] == "none" and "folds" not in lines
    one = RunFolder(finished_run).metrics()
    both = RunFolder(tmp_path / "runs/blend").read_json("metrics.json")
    assert both["seconds"]["total"] == pytest.approx(2 * one["seconds"]["total"], abs=0.1)


def test_one_run_is_too_few(finished_run: Path) -> None:
    with pytest.raises(BadInput, match="two or more"):
        compare([finished_run])
