"""Whatever a person types gets help or one sentence, the right exit code, and no traceback."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import torch
from conftest import COMMANDS, HANG_S, SMOKE, few_digits, in_process, refused, succeeded, tenfold

from digit_recognizer import rows
from tenfold.presets import PRESETS, Preset
from tenfold.settings import from_table, to_table
from tenfold.sources import sample
from tenfold_onnx.write.export import with_card


def test_a_refusal_is_the_same_from_a_shell(tmp_path: Path) -> None:
    done = tenfold("run", "--folds", "1", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (2, refused("run", "--folds", "1", cwd=tmp_path))


def panels(text: str) -> dict[str, list[str]]:
    """The titles of a help page's panels, with the first word of each entry."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        if title := re.match(r"╭─ (.*?) ─+╮", line):
            found[title[1]] = []
        elif entry := re.match(r"│ [ *] ?(\S+)|│ (\S+)", line):
            found[list(found)[-1]].append(entry[1] or entry[2])
    return found


@pytest.mark.parametrize("arguments", [[], ["--help"]])
def test_help_lists_the_commands_in_groups(arguments: list[str], tmp_path: Path) -> None:
    text = succeeded(in_process(*arguments, cwd=tmp_path))
    groups = panels(text)
    assert list(groups) == ["Train", "Use the models", "Kaggle", "Learn", "Options"]
    listed = [command for group, names in groups.items() if group != "Options" for command in names]
    assert sorted(command for command in listed if command in COMMANDS) == sorted(COMMANDS)
    assert "Begin with tenfold run" in " ".join(text.split("╭")[0].split())


def test_the_options_of_a_run_are_in_groups_with_the_basics_first(tmp_path: Path) -> None:
    groups = panels(succeeded(in_process("run", "--help", cwd=tmp_path, COLUMNS="100")))
    first = [option for option in next(iter(groups.values())) if option.startswith("--")]
    assert first == ["--preset", "--source", "--data", "--seed", "--out"]
    options = [option for names in groups.values() for option in names if option.startswith("--")]
    assert len(options) == len(set(options)) > 50 and "Parameters" not in groups
    for prefix in ("--warp.", "--cgan.", "--light.", "--fit."):
        holding = [title for title, names in groups.items() if any(name.startswith(prefix) for name in names)]
        assert len(holding) == 1, "a concern is in one place"


@pytest.mark.parametrize("command", [[], *([command] for command in COMMANDS), ["gan", "fit"]], ids=" ".join)
def test_help_breaks_no_word_at_60_columns(command: list[str], tmp_path: Path) -> None:
    def words(columns: int) -> set[str]:
        text = succeeded(in_process(*command, "--help", cwd=tmp_path, COLUMNS=str(columns)))
        assert max(map(len, text.splitlines())) <= columns
        return set(re.findall(r"[\w-]*\w", text))

    assert words(60) == words(200)


def test_quiet_and_verbose_go_with_every_command(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    for line in (["--quiet", "score", "missing.csv"], ["score", "missing.csv", "--quiet"]):
        assert "missing.csv" in refused(*line, cwd=tmp_path)
    loud = in_process("score", "missing.csv", "--verbose", cwd=tmp_path)
    assert loud.returncode == 2 and loud.stderr.startswith("Traceback")
    assert loud.stderr.splitlines()[-1].startswith("tenfold: missing.csv")
    assert "--quiet and --verbose" in refused("score", "missing.csv", "--quiet", "--verbose", cwd=tmp_path)


def test_completion_is_installed_and_needs_no_python(tmp_path: Path) -> None:
    done = tenfold("--install-completion", cwd=tmp_path, HOME=str(tmp_path), SHELL="/bin/bash")
    assert done.returncode == 0, done.stderr
    (script,) = (path for path in tmp_path.rglob("*") if path.name == "tenfold")
    program = f"""
source {shlex.quote(str(script))}
complete_line() {{ COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=(); _tenfold; echo "${{COMPREPLY[@]}}"; }}
complete_line tenfold ru
complete_line tenfold run --cgan.z
complete_line tenfold run --preset ""
"""
    answers = subprocess.run(
        ["/bin/bash", "-c", program], capture_output=True, text=True, env={"PATH": "/nowhere"}, timeout=HANG_S
    )
    commands, options, presets = answers.stdout.splitlines()
    assert commands.split() == ["run"] and options.split() == ["--cgan.z-dim"]
    assert presets.split() == list(PRESETS), "without any other program"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str, tmp_path: Path) -> None:
    text = succeeded(in_process(command, "--help", cwd=tmp_path))
    assert "Usage: tenfold " + command in text
    assert re.search(r"^╭─ (Parameters|[A-Z][a-z]+) ─", text, re.MULTILINE)


def test_a_dry_run_prints_settings_that_can_be_given_back(tmp_path: Path) -> None:
    first = succeeded(in_process("run", "--preset", "smoke", "--seed", "5", "--dry-run", cwd=tmp_path))
    assert tomllib.loads(first)["seed"] == 5
    (tmp_path / "settings.toml").write_text(first)
    again = succeeded(in_process("run", "--config", "settings.toml", "--dry-run", cwd=tmp_path))
    assert tomllib.loads(again) == tomllib.loads(first)
    assert first.startswith("# source: sample") and "\n# preset: smoke\n# folder: runs/sample-smoke\n" in first
    assert "\n# preset: demo, overridden by settings.toml\n" in again
    assert [file.name for file in tmp_path.iterdir()] == ["settings.toml"]


def test_options_override_the_file_and_the_file_the_preset(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text("folds = 4\n[fit]\nepochs = 9\n")
    command = ["run", "--preset", "smoke", "--config", "mine.toml", "--fit.epochs", "3", "--dry-run"]
    table = tomllib.loads(succeeded(in_process(*command, cwd=tmp_path)))
    assert (table["folds"], table["fit"]["epochs"], table["cgan"]["width"]) == (4, 3, 8)


@pytest.mark.parametrize(
    ("options", "preset"),
    [([], "demo"), (["--source", "sample"], "demo"), (["--source", "mnist"], "fast"), (["--preset", "fast"], "fast")],
)
def test_the_sample_has_a_preset_of_its_own(options: list[str], preset: Preset, tmp_path: Path) -> None:
    table = tomllib.loads(succeeded(in_process("run", *options, "--dry-run", cwd=tmp_path)))
    expected = to_table(from_table(PRESETS[preset]))
    assert [table[name] for name in ("folds", "fit", "cgan")] == [expected[name] for name in ("folds", "fit", "cgan")]


# What is typed, and what the sentence must hold: where it is wrong, and what.
REFUSALS = [
    ("run --bogus 1", ["--bogus"]),
    ("run --fit.epoch 1", ["Did you mean --fit.epochs?"]),
    ("run --preset nope", ['"demo", "fast", "best", "smoke"']),
    ("run --source web", ['"kaggle"']),
    ("run --fit.epochs many", ["--fit.epochs"]),
    ("run --fit.epochs 2.5", ["--fit.epochs: ", "2.5"]),
    ("run --fit.epochs 0", ["fit.epochs: ", "0"]),
    ("run --fit.lr nan", ["fit.lr: ", "nan"]),
    ("run --cgan.share 1.5", ["cgan.share: ", "1.5", "0.9"]),
    ("run --cgan.share 0 --cgan.reserve 0.2", ["cgan.reserve: ", "0.2", "--cgan.share 0"]),
    ("run --warp.rotation-deg -3", ["warp.rotation-deg: ", "-3.0"]),
    ("run --folds 1", ["folds: ", "1"]),
    ("run --folds 101", ["folds: ", "101"]),
    ("run --seed -1", ["seed: ", "-1"]),
    ("run --nets 0", ["nets: ", "0"]),
    ("run --light.channels 8", ["light.channels: ", "two or more"]),
    ("run --source sample --init nowhere", ["nowhere: "]),
    ("blend nowhere", ["two or more runs"]),
    ("run --device cuda", ["device: cuda"]),
    ("run --config missing.toml", ["missing.toml: can't be read"]),
    ("run --data ''", ["--data: ", "empty"]),
    ("run --out ''", ["--out: ", "empty"]),
    ("predict here.csv --model ''", ["--model: ", "empty"]),
    ("run --source kaggle", ["digit-recognizer.zip", "train.csv"]),
    ("predict missing.csv", ["missing.csv: "]),
    ("predict here.csv --model missing.onnx", ["missing.onnx: "]),
    ("generate 12x", ["labels: ", "'12x'"]),
    ("generate 12 --out digits.gif", ["digits.gif: ", ".png", ".csv"]),
    ("export .", [".: "]),
    ("score missing.csv", ["missing.csv"]),
    ("score", ["SUBMISSION"]),
    ("nonsense", ['"nonsense"']),
    ("runn", ['Did you mean "run"?', "`tenfold --help`"]),
    ("submision", ['Did you mean "submissions"?']),
    ("gan scor runs", ['Did you mean "score"?']),
]


@pytest.mark.parametrize(("command", "parts"), REFUSALS, ids=[command for command, _ in REFUSALS])
def test_what_cannot_work_is_refused_in_one_sentence(command: str, parts: list[str], tmp_path: Path) -> None:
    (tmp_path / "here.csv").write_text("x\n")
    if "--device" in command and torch.cuda.is_available():
        pytest.skip("this machine has CUDA")
    sentence = refused(*shlex.split(command), cwd=tmp_path)
    assert all(part in sentence for part in parts), sentence
    assert [file.name for file in tmp_path.iterdir()] == ["here.csv"]


@pytest.mark.parametrize(("factor", "part"), [("0.5", "no training of run"), ("2", "2.0")])
def test_rates_are_cut_only_where_a_loss_became_nan(factor: str, part: str, tmp_path: Path) -> None:
    sentence = refused(*SMOKE, "--out", "run", "--cut-rates", factor, cwd=tmp_path)
    assert "cut-rates: " in sentence and part in sentence


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("folds = ", ["mine.toml: ", "TOML"]),
        pytest.param("folds = " + 50_000 * "[", ["mine.toml: ", "TOML"], id="deep"),
        ("fold = 3", ["mine.toml: ", "setting fold;"]),
        ("[fit]\nepoch = 3", ["mine.toml: ", "setting fit.epoch;"]),
        ("[fit]\nepochs = 'ten'", ["mine.toml: fit.epochs: ", "ten"]),
        ("fit = 3", ["mine.toml: fit: ", "3", "table"]),
        ("folds = 0", ["mine.toml: folds: ", "0"]),
        ("folds = 2.5", ["mine.toml: folds: ", "2.5"]),
        ("folds = '3'", ["mine.toml: folds: ", "3"]),
        ("folds = true", ["mine.toml: folds: ", "True"]),
        ("[net]\nchannels = [8, '9']", ["mine.toml: net.channels: ", "[8, '9']"]),
        ("[data]\nsource = 'web'", ["mine.toml: ", "source", "web"]),
    ],
    ids=repr,
)
def test_a_settings_file_that_is_wrong_is_refused(text: str, parts: list[str], tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(text)
    sentence = refused("run", "--config", "mine.toml", "--dry-run", cwd=tmp_path)
    assert all(part in sentence for part in parts), sentence


def test_a_settings_file_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    """As Windows' editors write it."""
    (tmp_path / "mine.toml").write_text("folds = 7\n", "utf-8-sig")
    assert "folds = 7\n" in succeeded(in_process("run", "--config", "mine.toml", "--dry-run", cwd=tmp_path))


@pytest.mark.parametrize("folder", ["file/run", "/proc/run"])
def test_a_folder_that_cannot_be_written_is_refused(folder: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert f"{folder}: can't be written" in refused("run", "--source", "sample", "--out", folder, cwd=tmp_path)


def test_a_damaged_csv_writes_nothing(finished_run: Path, tmp_path: Path) -> None:
    (tmp_path / "test.csv").write_text("pixel0,pixel1\n0,1\n")
    command = ("predict", "test.csv", "--model", finished_run / "classifier.onnx", "--out", "answers.csv")
    assert "test.csv line 1" in refused(*command, cwd=tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["test.csv"]


def test_a_reader_that_stops_reading_is_no_failure(finished_run: Path, tmp_path: Path) -> None:
    (tmp_path / "test.csv").write_bytes(rows.render(few_digits(3000).images))
    command = [sys.executable, "-m", "tenfold", "predict", "test.csv", "--json"]
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


def test_a_submission_for_test_images_that_the_run_did_not_keep_apart_is_marked(
    finished_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    test = sample.load()[1].images
    monkeypatch.setattr(sys.modules["tenfold.cli.predict"], "TEST_ROWS", len(test))
    (tmp_path / "own.csv").write_bytes(rows.render(test))
    (tmp_path / "others.csv").write_bytes(rows.render(test[::-1]))
    model = finished_run / "classifier_light.onnx"
    assert in_process("predict", "own.csv", "--model", model, cwd=tmp_path).stderr == ""
    assert "others.csv: perhaps LEAKED" in in_process("predict", "others.csv", "--model", model, cwd=tmp_path).stderr
    card = {"honest": "NO: LEAKED, trained on test images with their labels"}
    (tmp_path / "leaked.onnx").write_bytes(with_card(model.read_bytes(), card))
    assert "own.csv: LEAKED" in in_process("predict", "own.csv", "--model", "leaked.onnx", cwd=tmp_path).stderr


@pytest.mark.parametrize("out", ["folder", "digits.csv/answers.csv"])
def test_what_is_in_the_way_of_an_output_is_named(out: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "digits.csv").write_bytes(rows.render(few_digits(3).images))
    sentence = refused("predict", "digits.csv", "--out", out, cwd=tmp_path)
    assert f"{out}: a file or folder is in the way" in sentence
    assert sorted(path.name for path in tmp_path.iterdir()) == ["digits.csv", "folder"]
