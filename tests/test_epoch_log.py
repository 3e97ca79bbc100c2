"""The log of epochs: one line each, read back unchanged, whatever became of the lines around it."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tenfold.storage.epoch_log import (
    EPOCHS,
    ClassifierEpoch,
    Epoch,
    EpochLog,
    GeneratorEpoch,
    elapsed_seconds,
    seconds_by_stage,
    timeline,
)

NUMBER = st.floats(allow_nan=False, allow_infinity=False)
COUNT = st.integers(0, 10**9)
COMMON: dict[str, st.SearchStrategy[Any]] = {
    "task": st.text(max_size=20),
    "epoch": COUNT,
    "epochs": COUNT,
    "seconds": NUMBER,
    "ended": NUMBER,
}
CLASSIFIER_EPOCHS = st.builds(
    ClassifierEpoch,
    **COMMON,
    loss=NUMBER,
    validation_accuracy=st.none() | NUMBER,
    generated=st.none() | COUNT,
    left_out=st.none() | COUNT,
)
GENERATOR_EPOCHS = st.builds(
    GeneratorEpoch,
    **COMMON,
    loss_discriminator=NUMBER,
    loss_generator=NUMBER,
    score_real=NUMBER,
    score_generated=NUMBER,
    variety=NUMBER,
)
ALL_EPOCHS = st.lists(CLASSIFIER_EPOCHS | GENERATOR_EPOCHS, max_size=5)
SAME_FOLDER = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def epoch(task: str, number: int, seconds: float = 1.0, ended: float = 0.0) -> ClassifierEpoch:
    return ClassifierEpoch(task=task, epoch=number, epochs=4, loss=0.5, seconds=seconds, ended=ended)


def log_of(folder: Path, epochs: list[Epoch]) -> EpochLog:
    log = EpochLog(folder)
    log.path.unlink(missing_ok=True)
    for one in epochs:
        log.append(one)
    return log


def test_a_run_that_has_not_begun_has_no_epochs(tmp_path: Path) -> None:
    assert EpochLog(tmp_path).read() == []


@SAME_FOLDER
@given(epochs=ALL_EPOCHS)
def test_epochs_are_read_back_unchanged(epochs: list[Epoch], tmp_path: Path) -> None:
    log = log_of(tmp_path, epochs)
    assert log.read() == epochs
    assert len(log.path.read_bytes().splitlines()) == len(epochs) if epochs else not log.path.exists()


EPOCHS_OF_A_RUN: list[Epoch] = [
    replace(epoch("fold-0-net-0", 1, 2.5, 1.75e9), validation_accuracy=0.98765, generated=320, left_out=7),
    GeneratorEpoch(
        task="generator",
        epoch=1,
        epochs=12,
        seconds=3.125,
        ended=1.75e9,
        loss_discriminator=1.5,
        loss_generator=0.25,
        score_real=1e-6,
        score_generated=-0.5,
        variety=0.75,
    ),
    epoch("light", 2, 0.5, 1.75e9),
]


def flip(path: Path, data: st.DataObject) -> int:
    """Flip one bit of a file; return the number of the line that it lies in."""
    content = bytearray(path.read_bytes())
    position = data.draw(st.integers(0, len(content) - 1))
    line = content[:position].count(b"\n")
    content[position] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(content)
    return line


def require_usable(epochs: list[Epoch]) -> None:
    """Do with the epochs what reports and forecasts do."""
    seconds_by_stage(epochs)
    round(elapsed_seconds(epochs))
    for one in epochs:
        assert all(map(math.isfinite, one.numbers().values()))
        round(one.seconds)


@SAME_FOLDER
@given(data=st.data())
def test_a_flipped_bit_spares_the_other_lines(data: st.DataObject, tmp_path: Path) -> None:
    log = log_of(tmp_path, EPOCHS_OF_A_RUN)
    line = flip(log.path, data)
    read = log.read()
    require_usable(read)
    assert len(read) <= len(EPOCHS_OF_A_RUN)
    others = [one for number, one in enumerate(EPOCHS_OF_A_RUN) if number not in (line, line + 1)]
    assert all(one in read for one in others)  # a flipped newline joins a line with the next, so both are lost


@pytest.mark.parametrize(
    "value",
    [*("NaN", "-Infinity", "1e999", "true", "null", '"1"', "[]", "{}", ""), pytest.param("9" * 400, id="too large")],
)
@pytest.mark.parametrize("key", ["epoch", "seconds", "ended", "loss"])
def test_a_line_with_an_impossible_number_is_skipped(key: str, value: str, tmp_path: Path) -> None:
    log = log_of(tmp_path, EPOCHS_OF_A_RUN)
    first, *rest = log.path.read_text().splitlines(keepends=True)
    log.path.write_text(re.sub(rf'"{key}": [^,}}]+', f'"{key}": {value}', first) + "".join(rest))
    assert log.read() == EPOCHS_OF_A_RUN[1:]


@pytest.mark.parametrize(
    "line",
    [
        *("", "1", "null", '"x"', "[]", "{}", '{"stage": []}', '{"stage": "cgan", "epoch": 1}'),
        pytest.param("[" * 10**5, id="deeply nested"),
    ],
)
def test_a_line_that_is_no_epoch_is_skipped(line: str, tmp_path: Path) -> None:
    log = log_of(tmp_path, EPOCHS_OF_A_RUN)
    log.path.write_text(line + "\n" + log.path.read_text())
    assert log.read() == EPOCHS_OF_A_RUN


@SAME_FOLDER
@given(content=st.binary(max_size=200))
def test_a_foreign_file_has_no_epochs(content: bytes, tmp_path: Path) -> None:
    (tmp_path / EPOCHS).write_bytes(content)
    assert EpochLog(tmp_path).read() == []


def test_the_log_is_cut_back_to_a_checkpoint(tmp_path: Path) -> None:
    log = log_of(tmp_path, [epoch(task, number) for task in ("fold-0", "fold-1") for number in (1, 2, 3)])
    with log.path.open("a") as file:
        file.write('{"task": "fold-1", "stage": "cla')  # cut short by a kill
    log.cut("fold-0", "classifier", 1)
    log.cut("fold-1", "cgan", 0)  # another stage
    assert log.read() == [epoch("fold-0", 1), epoch("fold-1", 1), epoch("fold-1", 2), epoch("fold-1", 3)]
    assert len(log.path.read_text().splitlines()) == 4


SIDE_BY_SIDE = [epoch("a", 1, 10, ended=110), epoch("b", 1, 8, ended=110), epoch("a", 2, 10, ended=120)]
AFTER_A_BREAK = [*SIDE_BY_SIDE, epoch("a", 3, 10, ended=5010)]


@pytest.mark.parametrize(("epochs", "seconds"), [([], 0), (SIDE_BY_SIDE, 20), (AFTER_A_BREAK, 30)])
def test_elapsed_time_counts_side_by_side_once_and_no_breaks(epochs: list[Epoch], seconds: float) -> None:
    assert elapsed_seconds(epochs) == seconds


def test_the_timeline_stops_while_nothing_runs() -> None:
    assert [start for start, _ in timeline(AFTER_A_BREAK)] == [0, 2, 10, 20]


def test_seconds_are_summed_by_stage() -> None:
    generator = replace(EPOCHS_OF_A_RUN[1], seconds=2.0)
    assert seconds_by_stage([*AFTER_A_BREAK, generator]) == {"classifier": 38, "cgan": 2}
