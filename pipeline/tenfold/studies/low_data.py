"""Generated digits where real ones are few: once with nothing seen that is scored, and once as it was claimed."""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
from markupsafe import Markup
from sklearn.model_selection import train_test_split

from tenfold.data.batches import Expansion
from tenfold.data.digits import Digits, joined
from tenfold.models.inference import probabilities, sampler
from tenfold.report import figures
from tenfold.seeds import SeedStream
from tenfold.settings import Cgan, Fit, Net, Settings, Warp
from tenfold.studies.study import Material, Measured, Study
from tenfold.studies.table import Table
from tenfold.training.fit_classifier import fit_classifier
from tenfold.training.fit_generator import fit_generator

DIGITS, VALIDATED, GENERATED = 10_000, 2_000, 8_000
SHOWN: Final = 16_000  # digits an epoch, whatever they are made of
CLEAN, AS_CLAIMED = "clean", "as claimed"
REAL, BOTH, MADE = "real", "real and generated", "generated"
WARPS: Final = {"": Warp(rotation_deg=0, shear_deg=0, scale=0, shift_px=0), ", warped": Warp()}


def cells(quick: bool) -> list[str]:
    """The two protocols."""
    return [CLEAN, AS_CLAIMED]


def measure(cell: str, seed: int, its: Material) -> list[Measured]:
    """Accuracy on the test rows, and on the validation set that the protocol has."""
    n, held, made = (600, 120, 480) if its.quick else (DIGITS, VALIDATED, GENERATED)
    few, _ = train_test_split(
        np.arange(len(its.train)), train_size=n, random_state=seed, stratify=its.train.known_labels()
    )
    kept, aside = train_test_split(few, test_size=held, random_state=seed, stratify=its.train.known_labels()[few])
    real, validated = its.train.take(kept), its.train.take(aside)
    if cell == CLEAN:
        generated = _drawn(real, made, seed, its)
    else:  # the generator has seen all of them, and draws digits to be validated too
        drawn = _drawn(its.train.take(few), made + held, seed, its)
        generated = drawn.take(np.arange(made))
        validated = joined(validated, drawn.take(np.arange(made, made + held)))
    kinds = {REAL: real, BOTH: joined(real, generated), MADE: generated}
    return [
        Measured(f"{kind}{warped} ({cell})", _scores(learnt, warp, validated, seed, its))
        for warped, warp in WARPS.items()
        for kind, learnt in kinds.items()
    ]


def _drawn(seen: Digits, n: int, seed: int, its: Material) -> Digits:
    """`n` digits, as many of each, of a generator fitted on `seen`."""
    cgan = Cgan(epochs=1, epoch_images=256) if its.quick else Cgan(epochs=12, epoch_images=SHOWN)
    settings = Settings(seed=seed, cgan=cgan, compute=its.compute)
    images, labels = torch.from_numpy(seen.images), torch.from_numpy(seen.known_labels())
    generator = fit_generator(images, labels, settings, SeedStream(seed, 0), None, lambda *_: None)
    asked = torch.arange(n) % 10
    draws = torch.Generator().manual_seed(seed)
    return Digits.of("generated", sampler(generator, cgan.z_dim)(asked, draws).numpy(), asked.numpy())


def _scores(learnt: Digits, warp: Warp, validated: Digits, seed: int, its: Material) -> dict[str, float]:
    fit = Fit(epochs=1, epoch_images=256) if its.quick else Fit(epochs=6, epoch_images=SHOWN)
    settings = Settings(seed=seed, warp=warp, net=Net(tta_shift_px=0), fit=fit, compute=its.compute)
    images, labels = torch.from_numpy(learnt.images), torch.from_numpy(learnt.known_labels())
    expansion = Expansion(images, labels, warp, fit.batch_size, fit.epoch_images)
    net = fit_classifier(expansion, settings, SeedStream(seed, 0), None, lambda *_: None)
    return {
        name: float((probabilities(net, part.images, images.device).argmax(1) == part.known_labels()).mean())
        for name, part in (("test rows", its.test), ("its validation set", validated))
    }


def plot(table: Table) -> Markup:
    """Test error by what was learnt from."""
    return figures.bars({name: table.error(name, "test rows") for name in table.names()}, "error on the test rows, %")


def verdict(table: Table) -> str:
    """What generated digits add with nothing leaked, and how far the claim's validation is from the test rows."""
    gain = table.points(f"{BOTH} ({CLEAN})", f"{REAL} ({CLEAN})", "test rows")
    warped = table.points(f"{BOTH}, warped ({CLEAN})", f"{REAL}, warped ({CLEAN})", "test rows")
    shown, true = (
        table.points(f"{BOTH} ({AS_CLAIMED})", f"{REAL} ({AS_CLAIMED})", column)
        for column in ("its validation set", "test rows")
    )
    alone = table.mean(f"{MADE} ({CLEAN})", "test rows")
    return (
        f"Beside 8,000 real digits, as many generated ones change the accuracy on the test rows by {gain} points, "
        f"with warps on both sides by {warped}; generated digits alone come to {alone:.4f}. By the claim's protocol, "
        f"which validates generated digits too, the first of these changes looks like {shown} on the validation set, "
        f"where the test rows say {true}."
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
        "10,000 of the 42,000 training rows, split 8,000 to 2,000; 8,000 generated digits of our cGAN, fitted for 12 "
        "epochs of 16,000; our small net, shown 16,000 digits in each of 6 epochs, whatever they are. Clean: the "
        "cGAN sees the 8,000 alone, and the 2,000 real digits validate. As claimed: the cGAN sees all 10,000, and "
        "2,000 of its digits are in the validation set. The test rows are the competition's 28,000 either way."
    ),
    columns=("test rows", "its validation set"),
    cells=cells,
    measure=measure,
    plot=plot,
    verdict=verdict,
)
