"""The forecast of what remains, and what a person sees of it; a file gets one line per training."""

from __future__ import annotations

from pathlib import Path

import pytest

from tenfold.orchestration.progress import Display, Forecast, Planned, watched
from tenfold.storage.epoch_log import ClassifierEpoch, Epoch, GeneratorEpoch
from tenfold.storage.run_folder import RunFolder

PLANNED = [Planned("fold-0", "net", 4), Planned("fold-1", "net", 4), Planned("light", "light", 2)]


def epoch(task: str, number: int, seconds: float, epochs: int = 4) -> ClassifierEpoch:
    return ClassifierEpoch(task=task, epoch=number, epochs=epochs, seconds=seconds, loss=0.5, validation_accuracy=0.99)


def test_the_forecast_uses_times_by_kind_and_all_workers() -> None:
    forecast = Forecast(PLANNED, workers=2)
    assert forecast.seconds_left() is None and forecast.share_done() == 0
    forecast.add(epoch("fold-0", 1, 10))
    assert forecast.seconds_left() == (3 * 10 + 4 * 10 + 2 * 10) / 2  # the light net counts like the kind seen
    forecast.add(epoch("light", 1, 30))
    assert forecast.seconds_left() == (3 * 10 + 4 * 10 + 1 * 30) / 2
    assert forecast.share_done() == pytest.approx(40 / 140)


def test_no_training_is_faster_than_its_own_epochs() -> None:
    forecast = Forecast(PLANNED[:1], workers=8)
    forecast.add(epoch("fold-0", 1, 10))
    assert forecast.seconds_left() == 30


def test_nothing_is_left_at_the_end() -> None:
    forecast = Forecast(PLANNED, workers=2)
    for training in PLANNED:
        for number in range(training.epochs):
            forecast.add(epoch(training.name, number + 1, 5))
    assert forecast.seconds_left() == 0 and forecast.share_done() == 1


def test_a_cluster_without_room_yet_has_a_forecast() -> None:
    forecast = Forecast(PLANNED[:1], workers=0)
    forecast.add(epoch("fold-0", 1, 10))
    assert forecast.seconds_left() == 30


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


@pytest.mark.parametrize(
    ("epochs", "line"),
    [
        (
            [epoch("fold-0", number, 10) for number in (1, 2, 3, 4)],
            "fold-0: 4 epochs in 40 s, loss 0.5000, validation accuracy 0.9900\n",
        ),
        (
            [GENERATOR_EPOCH],
            "generator: 1 epoch in 3 s, loss discriminator 1.5000, loss generator 0.2500, variety 0.7500\n",
        ),
    ],
)
def test_a_file_gets_one_line_per_training_and_no_bars(
    epochs: list[Epoch], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    planned = [*PLANNED, Planned("generator", "generator", 1)]
    with Display(planned, [], workers=2) as display:
        for one in epochs:
            display.epoch(one)
    assert capsys.readouterr() == (line, "")


def test_epochs_of_an_earlier_start_count(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = RunFolder(tmp_path)
    run.epoch_log.append(epoch("light", 1, 10, epochs=2))
    run.epoch_log.append(epoch("not planned", 1, 10))
    with watched(PLANNED, run, workers=2, tensorboard=False) as report:
        report(epoch("light", 2, 20, epochs=2))
    assert capsys.readouterr().out.startswith("light: 2 epochs in 30 s")
