"""The net that generated digits are looked at with."""

from __future__ import annotations

from functools import cache

import torch

from tenfold.classifier import Classifier
from tenfold.draws import Stream
from tenfold.expansion import Expansion
from tenfold.fit import fit_classifier
from tenfold.settings import Fit, Net, Settings
from tenfold.study import Material


@cache
def reader(its: Material, epochs: int) -> Classifier:
    """Our small net after so many epochs on the training digits, in evaluation mode; fitted once a process."""
    fit = Fit(epochs=1, epoch_images=256) if its.quick else Fit(epochs=epochs)
    settings = Settings(net=Net(tta_shift_px=0), fit=fit, compute=its.compute)
    images, labels = torch.from_numpy(its.train.images), torch.from_numpy(its.train.known_labels())
    expansion = Expansion(images, labels, settings.warp, fit.batch_size, fit.epoch_images)
    return fit_classifier(expansion, settings, Stream(0, 0), None, lambda *_: None).eval()
