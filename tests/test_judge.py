"""The offline test score looks labels up by image, counts correctly, and refuses what it can't score."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from conftest import few_digits

from tenfold.cli.score import score as score_command
from tenfold.errors import BadInput
from tenfold.evaluation import judge
from tenfold.evaluation.judge import LEADERBOARD_ROWS, look_up_labels, score, verdict, with_labels
from tenfold.settings import Data


def test_labels_are_found_in_any_order() -> None:
    digits = few_digits(50)
    order = np.random.default_rng(0).permutation(50)
    labels = look_up_labels(digits.take(order).without_labels(), digits)
    assert (labels == digits.known_labels()[order]).all()


def test_unknown_images_are_refused() -> None:
    with pytest.raises(BadInput, match="test images: 5 of 10 are not among the 5 labelled ones"):
        look_up_labels(few_digits(10), few_digits(10).take(np.arange(5)))


def test_errors_interval_and_margin_are_correct() -> None:
    labels = np.zeros(28_000, np.int64)
    predicted = labels.copy()
    predicted[:225] = 1
    result = score(predicted, labels)
    assert (result.rows, result.errors) == (28_000, 225)
    assert result.accuracy == pytest.approx(0.991964, abs=1e-6)
    assert (result.low, result.high) == pytest.approx((0.990849, 0.992945), abs=2e-6)  # Wilson's interval
    assert result.leaderboard_margin == pytest.approx(1.96 * np.sqrt(0.991964 * 0.008036 / 7000 * 0.75), rel=1e-3)
    assert result.sentence() == (
        "offline test score: 0.99196 on 28,000 test rows (225 errors), 95 % interval 0.99085 to 0.99294; "
        "a leaderboard on 7,000 rows would show 0.99196 ± 0.00181"
    )


def test_a_small_test_set_promises_nothing_of_a_leaderboard() -> None:
    labels = np.zeros(LEADERBOARD_ROWS, np.int64)
    result = score(labels, labels)
    assert result.leaderboard_margin == 0 and "leaderboard" not in result.sentence()


def test_a_perfect_submission_has_a_proper_interval() -> None:
    result = score(np.zeros(360, np.int64), np.zeros(360, np.int64))
    assert result.accuracy == 1 and result.high <= 1 + 1e-12 and 0.98 < result.low < 1


def test_a_submission_of_another_length_is_refused() -> None:
    with pytest.raises(BadInput, match="the submission has 3 rows and the test set 4"):
        score(np.zeros(3, np.int64), np.zeros(4, np.int64))


def test_without_reference_labels_there_is_no_score(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    digits, test = few_digits(10), few_digits(10).without_labels()
    monkeypatch.setattr(judge, "reference_digits", lambda data: digits)
    labelled = with_labels(test, Data())
    assert (labelled.known_labels() == digits.known_labels()).all()
    result = verdict(digits.known_labels(), labelled)
    assert result and result.errors == 0
    monkeypatch.setattr(judge, "reference_digits", lambda data: digits.take(np.arange(5)))
    assert with_labels(test, Data()) is test and verdict(digits.known_labels(), test) is None
    assert capsys.readouterr().out.startswith("no offline test score: test images: 5 of 10 are not")


@pytest.mark.real
@pytest.mark.usefixtures("own_cache")
def test_a_published_submission_has_its_225_errors(real_data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    score_command(real_data / "published_submission.csv", data=Data(data=real_data))
    assert "offline test score: 0.99196 on 28,000 test rows (225 errors)" in capsys.readouterr().out
