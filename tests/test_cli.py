"""Whatever a person types gets help or one sentence, the right exit code, and no traceback."""

from __future__ import annotations

import contextlib
import io
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from conftest import few_digits, tenfold

from digit_recognizer import rows
from tenfold.cli import command_line, status

COMMANDS = [name for name in command_line if not name.startswith("-")]


def refused(*arguments: str | Path, cwd: Path, code: int = 2) -> str:
    """The one sentence that the command ends with; in this process, since each of its own would take seconds."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.chdir(cwd), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        found = status([str(argument) for argument in arguments])
    said = err.getvalue()
    assert found == code, out.getvalue() + said
    assert said.startswith("tenfold: ") and said.count("\n") == 1, said
    assert "Traceback" not in out.getvalue() + said
    return said


def test_a_refusal_is_the_same_from_a_shell(tmp_path: Path) -> None:
    done = tenfold("run", "--folds", "1", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (2, refused("run", "--folds", "1", cwd=tmp_path))


def test_help_lists_every_command_and_every_command_has_help(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    listed = tenfold("--help", cwd=tmp_path).stdout
    assert {"run", "predict", "submit", "app"} <= set(COMMANDS)
    for command in COMMANDS:
        assert re.search(rf"^│ {command} ", listed, re.MULTILINE)
        assert status([command, "--help"]) == 0
        said = capsys.readouterr().out
        assert "Usage: tenfold " + command in said
        assert re.search(r"^╭─ (Parameters|[A-Z][a-z]+) ─", said, re.MULTILINE)


def test_dry_run_prints_settings_that_can_be_given_back(tmp_path: Path) -> None:
    first = tenfold("run", "--preset", "smoke", "--seed", "5", "--dry-run", cwd=tmp_path)
    assert tomllib.loads(first.stdout)["seed"] == 5
    (tmp_path / "settings.toml").write_text(first.stdout)
    again = tenfold("run", "--config", "settings.toml", "--dry-run", cwd=tmp_path)
    assert again.stdout == first.stdout
    assert [file.name for file in tmp_path.iterdir()] == ["settings.toml"]


def test_options_override_the_file_and_the_file_overrides_the_preset(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text("folds = 4\n[fit]\nepochs = 9\n")
    done = tenfold(
        *("run", "--preset", "smoke", "--config", "mine.toml", "--fit.epochs", "3", "--dry-run"), cwd=tmp_path
    )
    table = tomllib.loads(done.stdout)
    assert (table["folds"], table["fit"]["epochs"], table["cgan"]["width"]) == (4, 3, 8)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["run", "--bogus", "1"], "Unknown option: --bogus"),
        (["run", "--fit.epoch", "1"], "Did you mean --fit.epochs?"),
        (["run", "--preset", "nope"], '"smoke", "fast", "best"'),
        (["run", "--source", "web"], '"kaggle"'),
        (["run", "--fit.epochs", "many"], "--fit.epochs"),
        (["run", "--fit.epochs", "2.5"], "--fit.epochs: is 2.5 where a whole number belongs"),
        (["run", "--fit.epochs", "0"], "fit.epochs: is 0 where a whole number from 1 belongs"),
        (["run", "--fit.lr", "nan"], "fit.lr: is nan where a finite number belongs"),
        (["run", "--cgan.share", "1.5"], "cgan.share: is 1.5 where a share from 0 to 0.9 belongs"),
        (["run", "--cgan.share", "0", "--cgan.reserve", "0.2"], "cgan.reserve: is 0.2 where 0 (since --cgan.share 0"),
        (["run", "--warp.rotation-deg", "-3"], "warp.rotation-deg: is -3.0"),
        (["run", "--folds", "1"], "folds: is 1"),
        (["run", "--folds", "101"], "folds: is 101"),
        (["run", "--seed", "-1"], "seed: is -1"),
        (["run", "--nets", "0"], "nets: is 0"),
        (["run", "--light.channels", "8"], "light.channels: is 8 where two or more numbers"),
        (["run", "--source", "sample", "--init", "nowhere"], "nowhere: is no run's folder"),
        (["blend", "nowhere"], "blend: takes two or more runs"),
        (["run", "--device", "cuda"], "device: cuda is not there"),
        (["run", "--config", "missing.toml"], "missing.toml: can't be read"),
        (["run", "--data", ""], "--data: is empty where a path belongs"),
        (["run", "--out", ""], "--out: is empty where a path belongs"),
        (["predict", "here.csv", "--model", ""], "--model: is empty where a path belongs"),
        (["run", "--source", "kaggle"], "holds neither digit-recognizer.zip nor train.csv"),
        (["predict", "missing.csv"], "missing.csv: there is no such file"),
        (["predict", "here.csv", "--model", "missing.onnx"], "missing.onnx: there is no such model file"),
        (["generate", "12x"], "labels: are '12x'"),
        (["generate", "12", "--out", "digits.gif"], "digits.gif: digits are written as .png or .csv"),
        (["export", "."], "is no run's folder"),
        (["score", "missing.csv"], "missing.csv"),
        (["score"], "SUBMISSION"),
        (["nonsense"], 'Unknown command "nonsense"'),
    ],
)
def test_what_cannot_work_is_refused_in_one_sentence(arguments: list[str], sentence: str, tmp_path: Path) -> None:
    (tmp_path / "here.csv").write_text("x\n")
    if "--device" in arguments:
        torch = pytest.importorskip("torch")
        if torch.cuda.is_available():
            pytest.skip("this machine has CUDA")
    assert sentence in refused(*arguments, cwd=tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["here.csv"]


@pytest.mark.parametrize(
    ("factor", "sentence"),
    [("0.5", "no training of run was stopped by its loss"), ("2", "is 2.0 where a factor between 0 and 1 belongs")],
)
def test_rates_are_cut_only_where_a_loss_was_lost(factor: str, sentence: str, tmp_path: Path) -> None:
    asked = ["run", "--source", "sample", "--preset", "smoke", "--out", "run", "--cut-rates", factor]
    assert f"cut-rates: {sentence}" in refused(*asked, cwd=tmp_path)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("folds = ", "is no TOML"),
        ("fold = 3", "mine.toml: settings: there is no setting fold;"),
        ("[fit]\nepoch = 3", "mine.toml: settings: there is no setting fit.epoch;"),
        ("[fit]\nepochs = 'ten'", "mine.toml: fit.epochs: is ten where a whole number belongs"),
        ("fit = 3", "mine.toml: fit: is 3 where a table of settings belongs"),
        ("folds = 0", "mine.toml: folds: is 0"),
        ("folds = 2.5", "mine.toml: folds: is 2.5 where a whole number belongs"),
        ("folds = '3'", "mine.toml: folds: is 3 where a whole number belongs"),
        ("folds = true", "mine.toml: folds: is True where a whole number belongs"),
        ("[net]\nchannels = [8, '9']", "mine.toml: net.channels: is [8, '9'] where whole numbers belongs"),
        ("[data]\nsource = 'web'", "source"),
    ],
)
def test_a_settings_file_that_is_wrong_is_refused(text: str, sentence: str, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(text)
    assert sentence in refused("run", "--config", "mine.toml", "--dry-run", cwd=tmp_path)


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "can't be written" in refused("run", "--source", "sample", "--out", "file/run", cwd=tmp_path)
    assert "can't be written" in refused("run", "--source", "sample", "--out", "/proc/run", cwd=tmp_path)


def test_a_damaged_csv_writes_nothing(finished_run: Path, tmp_path: Path) -> None:
    (tmp_path / "test.csv").write_text("pixel0,pixel1\n0,1\n")
    said = refused(
        *("predict", "test.csv", "--model", finished_run / "classifier.onnx", "--out", "answers.csv"), cwd=tmp_path
    )
    assert "test.csv line 1" in said
    assert [file.name for file in tmp_path.iterdir()] == ["test.csv"]


def test_a_reader_that_has_had_enough_is_no_failure(finished_run: Path, tmp_path: Path) -> None:
    (tmp_path / "test.csv").write_bytes(rows.render(few_digits(3000).images))
    command = [sys.executable, "-m", "tenfold.cli", "predict", "test.csv", "--json"]
    with subprocess.Popen(
        [*command, "--model", finished_run / "classifier.onnx"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        assert running.stdout and running.stderr
        assert running.stdout.readline().startswith('{"image": "1"')
        running.stdout.close()
        assert running.stderr.read() == ""
    assert running.returncode == 0
