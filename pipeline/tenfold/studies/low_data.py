"""Generated digits where real ones are few: once with clean validation, and once with the leak of the claim."""

from __future__ import annotations

from functools import partial
from typing import Final

import numpy as np
from sklearn.model_selection import train_test_split

from tenfold.data.digits import Digits, joined
from tenfold.seeds import SeedStream
from tenfold.settings import Cgan, Fit, Warp
from tenfold.studies.cells import Material, Measurement
from tenfold.studies.plain_loop import accuracy
from tenfold.studies.reference_net import train_classifier, train_generator
from tenfold.studies.study import Study, error_bars
from tenfold.studies.table import DECIMAL, Table

DIGITS, VALIDATED, GENERATED = 10_000, 2_000, 8_000
SHOWN: Final = 16_000  # digits per epoch, real or generated
CLEAN, AS_CLAIMED = "clean", "as claimed"
REAL, BOTH, MADE = "real", "real and generated", "generated"
WARPS: Final = {"": Warp(rotation_deg=0, shear_deg=0, scale=0, shift_px=0), ", warped": Warp()}


def cells(quick: bool) -> list[str]:
    """The two protocols."""
    return [CLEAN, AS_CLAIMED]


def measure(cell: str, seed: int, material: Material) -> list[Measurement]:
    """Accuracy on the test rows, and on the protocol's validation set."""
    n, n_validated, n_generated = (600, 120, 480) if material.quick else (DIGITS, VALIDATED, GENERATED)
    cgan = Cgan(epochs=1, epoch_images=256) if material.quick else Cgan(epochs=12, epoch_images=SHOWN)
    fit = Fit(epochs=1, epoch_images=256) if material.quick else Fit(epochs=6, epoch_images=SHOWN)
    compute, seeds = material.compute, SeedStream(seed, 0)
    few = _sample(material.train, n, seed)
    trained_on, held_out = train_test_split(
        np.arange(n), test_size=n_validated, random_state=seed, stratify=few.known_labels()
    )
    real, validation = few.take(trained_on), few.take(held_out)
    if cell == CLEAN:
        generated = train_generator(real, cgan, compute, seeds).digits(n_generated, seed)
    else:  # the generator sees the validation digits, and some of its own are validated too
        drawn = train_generator(few, cgan, compute, seeds).digits(n_generated + n_validated, seed)
        generated = drawn.take(np.arange(n_generated))
        validation = joined(validation, drawn.take(np.arange(n_generated, len(drawn))))
    rows = []
    for warped, warp in WARPS.items():
        for kind, digits in {REAL: real, BOTH: joined(real, generated), MADE: generated}.items():
            net = train_classifier(digits, fit, compute, seeds, warp=warp)
            numbers = {"test rows": accuracy(net, material.test), "its validation set": accuracy(net, validation)}
            rows.append(Measurement(f"{kind}{warped} ({cell})", numbers))
    return rows


def _sample(digits: Digits, n: int, seed: int) -> Digits:
    """`n` of the digits, stratified."""
    labels = digits.known_labels()
    chosen, _ = train_test_split(np.arange(len(digits)), train_size=n, random_state=seed, stratify=labels)
    return digits.take(chosen)


def verdict(table: Table) -> str:
    """What generated digits add without a leak, and how far the claim's validation is from the test rows."""
    gain = table.points(f"{BOTH} ({CLEAN})", f"{REAL} ({CLEAN})", "test rows")
    warped = table.points(f"{BOTH}, warped ({CLEAN})", f"{REAL}, warped ({CLEAN})", "test rows")
    shown, true = (
        table.points(f"{BOTH} ({AS_CLAIMED})", f"{REAL} ({AS_CLAIMED})", column)
        for column in ("its validation set", "test rows")
    )
    alone = table.mean(f"{MADE} ({CLEAN})", "test rows")
    return (
        f"8,000 generated digits beside 8,000 real ones change the accuracy on the test rows by {gain} points, and by "
        f"{warped} if all are warped; generated digits alone reach {alone:.4f}. By the claim's protocol, which also "
        f"validates on generated digits, the first change looks like {shown} on the validation set; on the test rows "
        f"it is {true}."
    )


STUDY: Final = Study(
    name="low-data",
    title="Do generated digits help where real ones are few?",
    claim=(
        "From 10,000 real digits: 0.9795 without generated ones, 0.9897 with them, 0.8565 from generated ones alone; "
        "in a later report 0.9785, 0.9688, 0.811"
    ),
    source="[Jkeezuz/DataAugmentationWithGAN](https://github.com/Jkeezuz/DataAugmentationWithGAN)",
    protocol=(
        "10,000 of the 42,000 training rows, split 8,000 to 2,000; 8,000 generated digits of our cGAN, trained for 12 "
        "epochs of 16,000; our small net, which sees 16,000 digits, real or generated, in each of 6 epochs. Clean: the "
        "cGAN is trained on the 8,000 alone, and the 2,000 real digits are the validation set. As claimed: the cGAN is "
        "trained on all 10,000, and 2,000 of its digits are in the validation set. The test rows are the competition's "
        "28,000 either way."
    ),
    columns={"test rows": DECIMAL, "its validation set": DECIMAL},
    cells=cells,
    measure=measure,
    plot=partial(error_bars, column="test rows", label="error on the test rows, %"),
    verdict=verdict,
)
