"""The net that generated digits are looked at with."""

from __future__ import annotations

from functools import cache

import torch

from tenfold.data.batches import Expansion
from tenfold.models.classifier import Classifier
from tenfold.seeds import SeedStream
from tenfold.settings import Fit, Net, Settings
from tenfold.studies.study import Material
from tenfold.training.fit_classifier import fit_classifier


@cache
def reference_net(its: Material, epochs: int) -> Classifier:
    """Our small net after so many epochs on the training digits, in evaluation mode; fitted once a process."""
    fit = Fit(epochs=1, epoch_images=256) if its.quick else Fit(epochs=epochs)
    settings = Settings(net=Net(tta_shift_px=0), fit=fit, compute=its.compute)
    images, labels = torch.from_numpy(its.train.images), torch.from_numpy(its.train.known_labels())
    expansion = Expansion(images, labels, settings.warp, fit.batch_size, fit.epoch_images)
    return fit_classifier(expansion, settings, SeedStream(0, 0), None, lambda *_: None).eval()
