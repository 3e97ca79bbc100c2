"""What is left is forecast from what was seen, and what a person sees is quiet in a file."""

from __future__ import annotations

from typing import Any

import pytest

from tenfold.orchestration.progress import Display, Forecast, Planned
from tenfold.storage import epoch_log

PLANNED = [Planned("fold-0", "net", 4), Planned("fold-1", "net", 4), Planned("light", "light", 2)]


def epoch(task: str, number: int, seconds: float, ended: float = 0.0, of: int = 4) -> dict[str, Any]:
    stage = {"task": task, "stage": "classifier", "epoch": number, "epochs": of}
    return stage | {"loss": 0.5, "validation_accuracy": 0.99, "seconds": seconds, "ended": ended}


def test_what_is_left_is_forecast_by_kind_and_over_the_workers() -> None:
    forecast = Forecast(PLANNED, workers=2)
    assert forecast.seconds_left() is None and forecast.share_done() == 0
    forecast.add(epoch("fold-0", 1, 10))
    assert forecast.seconds_left() == (3 * 10 + 4 * 10 + 2 * 10) / 2  # the light net counts as what was seen
    forecast.add(epoch("light", 1, 30))
    assert forecast.seconds_left() == (3 * 10 + 4 * 10 + 1 * 30) / 2
    assert forecast.share_done() == pytest.approx(40 / 140)


def test_no_training_is_faster_than_its_own_epochs() -> None:
    forecast = Forecast(PLANNED[:1], workers=8)
    forecast.add(epoch("fold-0", 1, 10))
    assert forecast.seconds_left() == 30


def test_at_the_end_nothing_is_left() -> None:
    forecast = Forecast(PLANNED, workers=2)
    for training in PLANNED:
        for number in range(training.epochs):
            forecast.add(epoch(training.name, number + 1, 5))
    assert forecast.seconds_left() == 0 and forecast.share_done() == 1


def test_a_file_gets_a_line_a_training_and_no_bars(capsys: pytest.CaptureFixture[str]) -> None:
    with Display(PLANNED, [epoch("fold-0", 1, 10)], workers=2) as display:
        for number in (2, 3, 4):
            display.epoch(epoch("fold-0", number, 10))
    out, err = capsys.readouterr()
    assert err == ""
    assert out == "fold-0: 4 epochs in 40 s, loss 0.5000, validation accuracy 0.9900\n"


def test_side_by_side_counts_once_and_a_stop_in_between_not_at_all() -> None:
    epochs = [epoch("a", 1, 10, ended=110), epoch("b", 1, 8, ended=110), epoch("a", 2, 10, ended=120)]
    assert epoch_log.covered(epochs) == 20
    later = [*epochs, epoch("a", 3, 10, ended=5010)]
    assert epoch_log.covered(later) == 30
    assert [begin for begin, _ in epoch_log.on_own_clock(later)] == [0, 2, 10, 20]
    assert epoch_log.covered([]) == 0
    assert epoch_log.by_stage(later) == {"classifier": 38}
