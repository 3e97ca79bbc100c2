"""The competition's names and numbers."""

from __future__ import annotations

from typing import Final

SLUG: Final = "digit-recognizer"
PAGE: Final = f"https://www.kaggle.com/competitions/{SLUG}"
ARCHIVE: Final = f"{SLUG}.zip"
TRAIN, TEST, SAMPLE_SUBMISSION = "train.csv", "test.csv", "sample_submission.csv"
TRAIN_ROWS: Final = 42_000
TEST_ROWS: Final = 28_000
# SHA-256 of test.csv's images, 784 bytes each, sorted: the same for every order of its rows.
TEST_IMAGES_SHA256: Final = "d9f0aca5fa739d28789da7052fa42f2b5697a329d0f5e2752b2873a14143935e"
DAILY_SUBMISSIONS: Final = 5  # per day in UTC
