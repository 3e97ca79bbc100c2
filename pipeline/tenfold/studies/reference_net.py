"""Our classifier and our generator, trained for a study or a benchmark; the net that scores generated digits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final

import torch

from tenfold.data.batches import Batches
from tenfold.data.digits import Digits
from tenfold.models.cgan import Generator
from tenfold.models.classifier import Classifier, initial_classifier
from tenfold.models.inference import Sampler, sampler
from tenfold.seeds import SeedStream
from tenfold.settings import Cgan, Compute, Fit, Net, Warp
from tenfold.storage.epoch_log import GeneratorEpoch
from tenfold.training.fit_classifier import fit_classifier
from tenfold.training.fit_generator import fit_generator

if TYPE_CHECKING:
    from tenfold.studies.cells import Material

SMALL_NET: Final = Net(tta_shift_px=0)  # as it answers without test-time shifts
WARP: Final = Warp()


def train_classifier(
    digits: Digits,
    fit: Fit,
    compute: Compute,
    seeds: SeedStream,
    net: Net = SMALL_NET,
    warp: Warp = WARP,
    make_batches: Callable[..., Batches] = Batches,
) -> Classifier:
    """Our classifier, trained on labelled digits, in evaluation mode; `make_batches` makes what it learns from."""
    images, labels = torch.from_numpy(digits.images), torch.from_numpy(digits.known_labels())
    batches = make_batches(
        images=images.to(compute.device),
        labels=labels.to(compute.device),
        warp=warp,
        batch_size=fit.batch_size,
        epoch_images=fit.epoch_images,
    )
    return fit_classifier(initial_classifier(net, seeds), batches, fit, compute, seeds).eval()


@dataclass(frozen=True)
class TrainedGenerator:
    """Our generator after its last epoch."""

    net: Generator
    sample: Sampler
    variety: float  # within a class, as a share of that of real digits
    sheets: Sequence[bytes]  # a PNG per epoch, always of the same z
    device: torch.device

    def digits(self, n: int, seed: int) -> Digits:
        """`n` generated digits with balanced labels."""
        labels = torch.arange(n, device=self.device) % 10
        images = self.sample(labels, torch.Generator(self.device).manual_seed(seed))
        return Digits.of("generated", images.cpu().numpy(), labels.cpu().numpy())


def train_generator(digits: Digits, cgan: Cgan, compute: Compute, seeds: SeedStream) -> TrainedGenerator:
    """Our conditional GAN, trained on labelled digits."""
    device = torch.device(compute.device)
    images = torch.from_numpy(digits.images).to(device)
    labels = torch.from_numpy(digits.known_labels()).to(device)
    varieties, sheets = [], []

    def after_epoch(epoch: GeneratorEpoch, state: object, sheet: bytes) -> None:
        varieties.append(epoch.variety)
        sheets.append(sheet)

    net = fit_generator(images, labels, cgan, compute, seeds, after_epoch=after_epoch)
    return TrainedGenerator(net, sampler(net, cgan.z_dim), varieties[-1], sheets, device)


@cache
def reference_net(material: Material, epochs: int) -> Classifier:
    """Our small net after `epochs` epochs on the training digits, in evaluation mode; trained once per process."""
    fit = Fit(epochs=1, epoch_images=256) if material.quick else Fit(epochs=epochs)
    return train_classifier(material.train, fit, material.compute, SeedStream(0, 0))
