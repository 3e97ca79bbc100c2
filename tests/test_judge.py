"""The judge looks labels up by image, counts right, and refuses what it can't judge."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from conftest import few_digits, tenfold

from tenfold.errors import BadInput
from tenfold.evaluation.judge import answer_key, judged


def test_the_key_is_found_whatever_the_order() -> None:
    digits = few_digits(50)
    order = np.random.default_rng(0).permutation(50)
    key = answer_key(digits.take(order).without_labels(), digits)
    assert (key == digits.known_labels()[order]).all()


def test_a_key_with_gaps_is_refused() -> None:
    with pytest.raises(BadInput, match="5 of 10 test images"):
        answer_key(few_digits(10), few_digits(10).take(np.arange(5)))


def test_errors_interval_and_margin_are_as_computed_by_hand() -> None:
    key = np.zeros(28_000, np.int64)
    labels = key.copy()
    labels[:225] = 1
    verdict = judged(labels, key)
    assert (verdict.rows, verdict.errors) == (28_000, 225)
    assert verdict.accuracy == pytest.approx(0.991964, abs=1e-6)
    assert (verdict.low, verdict.high) == pytest.approx((0.990849, 0.992945), abs=2e-6)  # Wilson's interval
    assert verdict.leaderboard_margin == pytest.approx(1.96 * np.sqrt(0.991964 * 0.008036 / 7000 * 0.75), rel=1e-3)


def test_a_perfect_submission_has_a_proper_interval() -> None:
    verdict = judged(np.zeros(360, np.int64), np.zeros(360, np.int64))
    assert verdict.accuracy == 1 and verdict.high <= 1 + 1e-12 and 0.98 < verdict.low < 1


def test_a_submission_of_another_length_is_refused() -> None:
    with pytest.raises(BadInput, match="3 rows and the test set 4"):
        judged(np.zeros(3, np.int64), np.zeros(4, np.int64))


@pytest.mark.real
def test_the_published_submission_has_its_225_errors(real_data: Path, cache: Path, tmp_path: Path) -> None:
    published = real_data / "published_submission.csv"
    done = tenfold("score", published, "--data", real_data, cwd=tmp_path, XDG_CACHE_HOME=str(cache))
    assert done.returncode == 0, done.stderr
    assert "judge: 0.99196 on 28,000 test rows (225 errors)" in done.stdout
