"""The competition's names and numbers."""

from __future__ import annotations

from typing import Final

SLUG: Final = "digit-recognizer"
PAGE: Final = f"https://www.kaggle.com/competitions/{SLUG}"
ARCHIVE: Final = f"{SLUG}.zip"
TRAIN, TEST, SAMPLE_SUBMISSION = "train.csv", "test.csv", "sample_submission.csv"
TRAIN_ROWS: Final = 42_000
TEST_ROWS: Final = 28_000
DAILY_SUBMISSIONS: Final = 5  # per day in UTC
