"""The forecast of what remains, and what a person sees of it on a terminal, in a notebook and in a file."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import HANG_S

from tenfold.orchestration.forecast import Forecast, Planned
from tenfold.orchestration.progress import Display
from tenfold.storage.epoch_log import ClassifierEpoch, Epoch, GeneratorEpoch, PartOfEpoch
from tenfold.terminal import Verbosity, printing

PLANNED = [Planned("fold-0", "net", 4), Planned("fold-1", "net", 4), Planned("light", "light", 2)]


def epoch(task: str, number: int, seconds: float, epochs: int = 4) -> ClassifierEpoch:
    return ClassifierEpoch(task=task, epoch=number, epochs=epochs, seconds=seconds, loss=0.5, validation_accuracy=0.99)


def part(task: str, number: int, share: float, seconds: float, epochs: int = 4) -> PartOfEpoch:
    return PartOfEpoch(task, number, epochs, share, seconds)


def test_the_forecast_uses_times_by_kind_and_all_workers() -> None:
    forecast = Forecast(PLANNED, workers=2, now=0)
    assert forecast.seconds_left(0) is None and forecast.share_done(0) is None
    forecast.add(epoch("fold-0", 1, 10), now=0)
    assert forecast.seconds_left(0) == (3 * 10 + 4 * 10 + 2 * 10) / 2  # the light net counts like the kind seen
    forecast.add(epoch("light", 1, 30, epochs=2), now=0)
    assert forecast.seconds_left(0) == (3 * 10 + 4 * 10 + 1 * 30) / 2
    assert forecast.share_done(0) == pytest.approx(40 / 140)


def test_no_training_is_faster_than_its_own_epochs() -> None:
    forecast = Forecast(PLANNED[:1], workers=8, now=0)
    forecast.add(epoch("fold-0", 1, 10), now=0)
    assert forecast.seconds_left(0) == 30


def test_nothing_is_left_at_the_end() -> None:
    forecast = Forecast(PLANNED, workers=2, now=0)
    for training in PLANNED:
        for number in range(training.epochs):
            forecast.add(epoch(training.name, number + 1, 5, training.epochs), now=0)
    assert forecast.seconds_left(0) == 0 and forecast.share_done(0) == 1


def test_a_cluster_without_room_yet_has_a_forecast() -> None:
    forecast = Forecast(PLANNED[:1], workers=0, now=0)
    forecast.add(epoch("fold-0", 1, 10), now=0)
    assert forecast.seconds_left(0) == 30


def test_the_first_steps_of_the_first_epoch_give_a_forecast() -> None:
    forecast = Forecast(PLANNED[:1], workers=1, now=0)
    forecast.add_part(part("fold-0", 1, share=0.05, seconds=5), now=9)
    assert forecast.seconds_left(9) is None, "too early: the first steps are slow"
    forecast.add_part(part("fold-0", 1, share=0.25, seconds=9), now=13)
    assert forecast.seconds_left(13) == pytest.approx(3.75 * 20)
    assert forecast.share_done(13) == pytest.approx(9 / (9 + 75))


def test_the_remaining_time_counts_down_while_a_worker_starts() -> None:
    forecast = Forecast(PLANNED[:2], workers=1, now=0)
    for number in (1, 2, 3, 4):
        forecast.add_part(part("fold-0", number, share=0.5, seconds=5), now=10 * number)  # the first 5 s went by before
        forecast.add(epoch("fold-0", number, 10), now=10 * number + 5)
    assert forecast.seconds_left(45) == 5 + 4 * 10, "a process starts as slowly as the first did"
    assert forecast.seconds_left(48) == 2 + 4 * 10
    assert forecast.seconds_left(90) == 4 * 10, "a process that takes longer has not begun to train"


def test_the_remaining_time_counts_down_between_reports() -> None:
    forecast = Forecast(PLANNED[:1], workers=1, now=0)
    forecast.add(epoch("fold-0", 1, 10), now=0)
    left = [forecast.seconds_left(now) for now in range(0, 9)]
    assert left == [pytest.approx(30 - now) for now in range(0, 9)]
    shares = [forecast.share_done(now) for now in range(0, 9)]
    assert shares == sorted(set(shares))
    late = forecast.seconds_left(1000)
    assert late is not None and 20 <= late < 21, "an epoch that takes longer is not taken for finished"


def test_epochs_of_an_earlier_start_count(capsys: pytest.CaptureFixture[str]) -> None:
    with Display() as display:
        display.train(PLANNED, [epoch("light", 1, 10, epochs=2)], workers=2)
        assert [row.label for row in display.rows()] == ["training"], "nothing else runs yet"
        display.report(epoch("light", 2, 20, epochs=2))
    assert capsys.readouterr().out.startswith("light: 2 epochs in 30 s")


GENERATOR_EPOCH = GeneratorEpoch(
    task="generator",
    epoch=1,
    epochs=1,
    seconds=3,
    loss_discriminator=1.5,
    loss_generator=0.25,
    score_real=0.5,
    score_generated=-0.5,
    variety=0.75,
)


NET_LINE = "fold-0: 4 epochs in 40 s, training loss 0.500, validation accuracy 99.00 %"
GAN_LINE = "generator: 1 epoch in 3 s, discriminator loss 1.500, generator loss 0.250, variety 0.75"
LINES = [([epoch("fold-0", number, 10) for number in (1, 2, 3, 4)], NET_LINE), ([GENERATOR_EPOCH], GAN_LINE)]


@pytest.mark.parametrize(("epochs", "line"), LINES)
def test_a_file_gets_one_line_per_training_and_no_bars(
    epochs: list[Epoch], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with Display() as display:
        display.step("reading the digits")
        display.train([*PLANNED, Planned("generator", "generator", 1)], [], workers=2)
        for one in epochs:
            display.report(part(one.task, one.epoch, 0.5, 1))
            display.report(one)
    assert capsys.readouterr() == (f"reading the digits\n{line}\n", "")


@pytest.mark.parametrize(("level", "lines"), [(Verbosity.QUIET, 0), (Verbosity.NORMAL, 1), (Verbosity.VERBOSE, 5)])
def test_verbosity_decides_how_many_lines(level: Verbosity, lines: int, capsys: pytest.CaptureFixture[str]) -> None:
    with printing(level), Display() as display:
        display.train(PLANNED, [], workers=2)
        for number in (1, 2, 3, 4):
            display.report(epoch("fold-0", number, 10))
    assert capsys.readouterr().out.count("\n") == lines


# What a run reports, without any training: a step, part of an epoch, a training, a last step.
SHOW = """
import time
from tenfold.orchestration.forecast import Planned
from tenfold.orchestration.progress import Display
from tenfold.storage.epoch_log import ClassifierEpoch, PartOfEpoch
from tenfold.terminal import note

with Display() as display:
    display.step("reading the digits")
    time.sleep(0.5)
    note("a note that comes while the bars are shown, and is too long for a narrow terminal")
    display.train([Planned("fold-0", "net", 1), Planned("light", "light", 1)], [], 1)
    for step in range(1, 6):
        display.report(PartOfEpoch("fold-0", 1, 1, step / 5, step * 8.0))
        time.sleep(0.4)
    display.report(ClassifierEpoch(task="fold-0", epoch=1, epochs=1, seconds=40, loss=0.5, validation_accuracy=0.99))
    time.sleep(0.4)
    display.step("exporting the models")
    time.sleep(0.5)
print("the end")
"""
COLOUR = re.compile(r"\x1b\[[0-9;]*3[0-9]")


def on_a_terminal(program: str, out: Path | None = None, **environment: str) -> str:
    """What a program writes to a terminal of 60 columns; its standard output goes to the file `out` instead, if any."""
    ours, theirs = pty.openpty()
    unset = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR")}
    env = unset | {"TERM": "xterm-256color", "COLUMNS": "60", "LINES": "30", "PYTHONPATH": os.pathsep.join(sys.path)}
    with out.open("wb") if out else os.fdopen(os.dup(theirs), "wb") as stdout:
        running = subprocess.Popen(
            [sys.executable, "-c", program], env=env | environment, stdin=theirs, stdout=stdout, stderr=theirs
        )
    os.close(theirs)
    seen = b""
    try:
        while chunk := os.read(ours, 65536):
            seen += chunk
    except OSError:  # how Linux says that the other side is closed
        pass
    os.close(ours)
    assert running.wait(HANG_S) == 0, seen.decode()
    return seen.decode()


def test_a_terminal_gets_bars_from_the_first_step_to_the_last() -> None:
    seen = on_a_terminal(SHOW)
    order = r"reading the digits.* left.*epoch 1/1.*fold-0: 1 epoch in 40 s.*exporting the models.*the end"
    assert "━" in seen and re.search(order, seen, re.DOTALL), seen
    first = re.search(r"(\d+) %, (\d+):(\d+) left", seen)
    assert first and int(first[1]) < 50, "there is a forecast within the first epoch"
    assert COLOUR.search(seen)
    assert "a note that comes while the bars are shown, and is too" in seen, "broken between words"


def test_no_color_leaves_the_bars_and_takes_the_colours() -> None:
    seen = on_a_terminal(SHOW, NO_COLOR="1")
    assert "━" in seen and not COLOUR.search(seen)


def test_a_dumb_terminal_gets_lines() -> None:
    seen = on_a_terminal(SHOW, TERM="dumb")
    assert "\x1b" not in seen and "━" not in seen
    assert [line for line in seen.splitlines() if line in ("reading the digits", "exporting the models", "the end")]


def test_output_to_a_file_stays_out_of_the_terminal(tmp_path: Path) -> None:
    seen = on_a_terminal(SHOW, tmp_path / "log")
    log = (tmp_path / "log").read_text()
    assert "━" in seen and "━" not in log and "\x1b" not in log
    assert "fold-0: 1 epoch in 40 s" in log and "fold-0: 1 epoch in" not in seen


def test_a_notebook_gets_one_display_that_updates() -> None:
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    cell = nbformat.v4.new_code_cell(SHOW)
    client = nbclient.NotebookClient(nbformat.v4.new_notebook(cells=[cell]), kernel_name="python3", timeout=HANG_S)
    updates: list[str] = []
    with client.setup_kernel(env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}):
        handle = client.process_message

        def record(message: dict, *arguments: object) -> object:
            if message["msg_type"] in ("display_data", "update_display_data"):
                updates.append(message["content"]["data"]["text/html"])
            return handle(message, *arguments)

        client.process_message = record
        client.execute_cell(cell, 0)
    displays = [output for output in cell.outputs if output.output_type == "display_data"]
    assert len(displays) == 1 and "finished in" in displays[0]["data"]["text/html"]
    printed = "".join(output.text for output in cell.outputs if output.output_type == "stream")
    assert [line.partition(",")[0] for line in printed.splitlines()[-2:]] == ["fold-0: 1 epoch in 40 s", "the end"]
    assert len(updates) > 3 and "reading the digits" in "".join(updates) and "exporting the models" in "".join(updates)
    assert any("<progress" in html and "epoch 1/1" in html and " left" in html for html in updates)
