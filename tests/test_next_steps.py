"""The top of the report: when a run was trained, from which preset, and what to do with it next."""

from __future__ import annotations

import shlex
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from conftest import in_process, succeeded
from PIL import Image

from tenfold.cli import command_line
from tenfold.presets import PRESETS
from tenfold.report import provenance
from tenfold.report.next_steps import next_steps
from tenfold.settings import Compute, Data, from_table
from tenfold_onnx import Generator


def test_the_period_names_each_day_once() -> None:
    began, same, later = (datetime(2026, 3, day, hour, 5, tzinfo=UTC) for day, hour in ((1, 9), (1, 11), (2, 1)))
    assert provenance.period_in_words(began, same) == "1 March 2026, 09:05 to 11:05 UTC"
    assert provenance.period_in_words(began, later) == "1 March 2026, 09:05 to 2 March 2026, 01:05 UTC"
    assert provenance.period_in_words(began, began) == "1 March 2026, 09:05 UTC"


@pytest.mark.parametrize("name", PRESETS)
def test_a_presets_settings_are_recognised(name: str) -> None:
    settings = from_table(PRESETS[name])  # type: ignore[index]
    settings = replace(settings, seed=7, data=Data("mnist", Path("x")), compute=Compute(device="cpu", workers=3))
    assert provenance.nearest_preset(settings) == (name, [])
    assert provenance.preset_in_words(*provenance.nearest_preset(settings)) == f"preset {name}"
    preset, changes = provenance.nearest_preset(replace(settings, warp=replace(settings.warp, rotation_deg=3.0)))
    assert (preset, changes) == (name, ["warp.rotation_deg is 3.0 instead of 12.0"])
    assert provenance.preset_in_words(preset, changes) == f"preset {name}, but {changes[0]}"


@pytest.mark.parametrize(("source", "honest"), [("kaggle", True), ("kaggle", False), ("mnist", True), ("sample", True)])
def test_next_steps_are_commands_that_parse(source: Any, honest: bool, tmp_path: Path) -> None:
    run = tmp_path / "my run's"
    commands = [step.command for step in next_steps(run, source, honest)]
    for command in commands:
        program, *arguments = shlex.split(command)
        assert program == "tenfold"
        command_line.parse_args(arguments, exit_on_error=False)
        assert arguments[:2] == ["run", "--source"] or any(str(run) in argument for argument in arguments)
    named = [command.split()[1] for command in commands]
    assert ("submit" in named) == (source == "kaggle" and honest) and ("run" in named) == (source != "kaggle")
    assert {"app", "predict", "generate", "compare"} <= set(named)


def test_next_steps_of_a_run_work(finished_run: Path, tmp_path: Path) -> None:
    run = tmp_path / "ä run"
    run.symlink_to(finished_run)
    (tmp_path / "another-run").symlink_to(finished_run)
    steps = {step.command.split()[1]: step.command for step in next_steps(Path("ä run"), "sample", honest=True)}
    succeeded(in_process(*shlex.split(steps["generate"])[1:], cwd=tmp_path))
    Image.fromarray(Generator().generate([7])[0]).save(tmp_path / "seven.png")
    succeeded(in_process(*shlex.split(steps["predict"])[1:], cwd=tmp_path))
    succeeded(in_process(*shlex.split(steps["compare"])[1:], cwd=tmp_path))
