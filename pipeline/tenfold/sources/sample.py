"""Real digits that need neither account nor network: scikit-learn's 1,797, upscaled to 28x28.

They are 8x8 counts 0..16 of inked pixels in 4x4 blocks (E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten
Digits", UCI Machine Learning Repository, 1998).
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.ndimage import affine_transform
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from tenfold.data.digits import SIDE, Digits

BOX: Final = 20  # MNIST scales a digit to 20x20 pixels, then centres its mass
TEST_ROWS: Final = 360


def load() -> tuple[Digits, Digits]:
    """1,437 digits to train and 360 to test, both labelled, stratified, always the same ones."""
    bunch = load_digits()
    images = np.stack([upscaled(image) for image in bunch.images])
    digits = Digits.of("sample", images, bunch.target.astype(np.int64))
    train, test = train_test_split(np.arange(len(digits)), test_size=TEST_ROWS, stratify=bunch.target, random_state=0)
    return digits.take(np.sort(train)), digits.take(np.sort(test))


def upscaled(image: npt.NDArray[np.float64]) -> npt.NDArray[np.uint8]:
    """An 8x8 image in 0..16 as uint8 (28, 28): cubic resampling, ink in a 20x20 box, centre of mass centred."""
    rows, columns = np.where(image > 0)
    step = (max(np.ptp(rows), np.ptp(columns)) + 1) / BOX  # source pixels per target pixel
    centre = np.array([(image.sum(1) @ np.arange(8)), (image.sum(0) @ np.arange(8))]) / image.sum()
    offset = centre - step * (SIDE - 1) / 2
    ink = affine_transform(image, [step, step], offset, output_shape=(SIDE, SIDE), order=3, mode="grid-constant")
    return np.rint(np.clip(ink / 16, 0, 1) * 255).astype(np.uint8)
