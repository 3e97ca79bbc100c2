"""Results on a terminal: tables, the end of a run; nothing breaks a word. Elsewhere the same as plain lines."""

from __future__ import annotations

import re
import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from tenfold.cli.summary import show_next, show_summary
from tenfold.cli.table import show_page, show_pairs, show_table
from tenfold.data.overlap import Overlap
from tenfold.evaluation.cross_validation import CrossValidation
from tenfold.evaluation.judge import Verdict
from tenfold.evaluation.metrics import RunMetrics
from tenfold.terminal import Verbosity, note, printing, result

ESCAPE = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")
HEADER = ["", "runs/sample-fast", "runs/sample-best"]
LINES = [["cross-validation", "0.98831 ± 0.00211", "0.98931 ± 0.00111"], ["fit.epochs", "12", "20"]]
METRICS = RunMetrics(
    source="kaggle",
    honest=True,
    cross_validation=CrossValidation(0.9912, 0.0011, (0.99, 0.992), 41, 4000, 0.03),
    judge=Verdict(1000, 9, 0.991, 0.98, 0.995, 0.001),
    judge_light=Verdict(1000, 12, 0.988, 0.98, 0.995, 0.001),
    seconds={"total": 60.0},
    generator=None,
    temperature=1.0,
    collapsed=(),
    overlap=Overlap("honest", 4000, 0, 0, 0, 0, 4000, True),
    rate_cuts={},
)

Shown = pytest.CaptureFixture[str]


@pytest.fixture(params=[100, 60])
def width(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """A terminal of that many columns."""
    for name, value in {"FORCE_COLOR": "1", "COLUMNS": str(request.param), "TERM": "xterm-256color"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("NO_COLOR", raising=False)
    return int(request.param)


def plain(capsys: Shown) -> str:
    return ESCAPE.sub("", capsys.readouterr().out)


def words(text: str) -> list[str]:
    return re.findall(r"[\w./±'-]+", text)


def test_a_table_is_drawn_on_a_terminal(width: int, capsys: Shown) -> None:
    show_table(HEADER, LINES)
    text = plain(capsys)
    assert "|" not in text and all(len(line) <= width for line in text.splitlines())
    assert {cell for row in [HEADER, *LINES] for cell in row} <= {cell for cell in re.split(r"\s{2,}|\n|: ", text)}


def test_a_table_too_wide_for_a_terminal_breaks_no_word(width: int, capsys: Shown) -> None:
    header = ["", *(f"runs/kaggle-experiment-{run}" for run in range(5))]
    lines = [["cross-validation", *(f"0.9900{run} ± 0.00111" for run in range(5))]]
    show_table(header, lines)
    text = plain(capsys)
    assert set(words(" ".join([*header, *lines[0]]))) <= set(words(text))
    assert all(len(line) <= width for line in text.splitlines())


def test_a_table_is_markdown_elsewhere(capsys: Shown) -> None:
    show_table(HEADER, LINES)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4 and all(line.startswith("| ") and line.endswith("|") for line in lines)


def test_pairs_and_pages_break_between_words(width: int, capsys: Shown) -> None:
    value = "probabilities: float32 (N, 10), calibrated; label: int64 (N,), -1 where there is no digit"
    show_pairs([("outputs", value), ("licence", "MIT")])
    show_page(f"# Nets\n\n{value}\n\n| a | b |\n| --- | --- |\n| 1 | 2 |\n")
    text = plain(capsys)
    assert text.count("calibrated") == 2 and "| a |" not in text
    assert all(len(line) <= width for line in text.splitlines())


def test_pages_and_pairs_are_plain_elsewhere(capsys: Shown) -> None:
    show_pairs([("outputs", "x" * 200), ("licence", "MIT")])
    show_page("# Nets\n")
    assert capsys.readouterr().out == f"outputs  {'x' * 200}\nlicence  MIT\n# Nets\n"


def test_the_end_of_a_run_shows_scores_files_and_what_next(width: int, capsys: Shown) -> None:
    show_summary(Path("runs/my run"), METRICS)
    shown = capsys.readouterr().out
    for score in ("0.99120 ± 0.00110", "0.99100", "0.98800"):
        assert re.search(rf"\x1b\[1;32m{re.escape(score)}", shown), "stands out"
    text = ESCAPE.sub("", shown)
    assert "41 errors in 4,000" in text and "submission.csv" in text
    following = text.partition("Next")[2].splitlines()
    commands = [shlex.split(line.rpartition("'")[0] + "'") for line in following if "'" in line]
    assert ["tenfold", "app", "runs/my run"] in commands and ["tenfold", "submit", "runs/my run"] in commands
    assert any(command[-1:] == ["runs/my run/report.html"] or "report" in command for command in commands)


def test_elsewhere_the_end_is_plain_lines(capsys: Shown) -> None:
    show_summary(Path("runs/my run"), METRICS)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("cross-validation: 0.99120") and lines[1].startswith("offline test score: 0.99100")
    following = [shlex.split(line.removeprefix("next: "), comments=True) for line in lines if line.startswith("next: ")]
    assert ["tenfold", "app", "runs/my run"] in following and ["tenfold", "submit", "runs/my run"] in following


@pytest.mark.parametrize("change", [{"honest": False}, {"source": "sample"}], ids=str)
def test_only_an_honest_run_on_kaggles_files_is_to_be_submitted(change: dict[str, object], capsys: Shown) -> None:
    show_summary(Path("runs/x"), replace(METRICS, **change))  # type: ignore[arg-type]
    text = capsys.readouterr().out
    assert "tenfold app runs/x" in text and "tenfold submit" not in text
    assert ("LEAKED" in text) == ("honest" in change)


def test_quiet_leaves_the_scores(capsys: Shown) -> None:
    with printing(Verbosity.QUIET):
        note("a note")
        show_summary(Path("runs/x"), METRICS)
        show_next([("tenfold app runs/x", "reads")])
        result("the result")
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == [
        "cross-validation", "offline test score", "light net alone, offline test score", "the result",
    ]  # fmt: skip


def test_no_color_is_respected(width: int, capsys: Shown, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    show_summary(Path("runs/x"), METRICS)
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]", capsys.readouterr().out)


def test_a_long_command_is_left_whole(width: int, capsys: Shown) -> None:
    command = f"tenfold app runs/{'a-long-name-' * 12}"
    show_next([(command, "reads")])
    assert f"  {command}" in plain(capsys).splitlines()
