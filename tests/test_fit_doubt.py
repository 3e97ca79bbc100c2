"""A finished net learns to doubt images of no digit, and stays as it is."""

from __future__ import annotations

from copy import deepcopy

import torch

from tenfold.data.non_digits import non_digits
from tenfold.models.classifier import Classifier, initial_classifier
from tenfold.models.doubt import Doubt
from tenfold.seeds import SeedStream
from tenfold.settings import Net, Warp
from tenfold.sources import sample
from tenfold.training.fit_doubt import fit_doubt

NET = Net((8, 16, 24), tta_shift_px=0)
SEEDS = SeedStream(0, 0)
DIGITS, TEST = sample.load()
TRAIN = torch.from_numpy(DIGITS.images[:1000])
OTHERS = torch.from_numpy(non_digits(400, DIGITS, seed=0))


def fitted(net: Classifier, seeds: SeedStream = SEEDS) -> Doubt:
    return fit_doubt(net, NET, TRAIN, OTHERS, Warp(), seeds)


@torch.no_grad()
def doubts(net: Classifier, doubt: Doubt, images: torch.Tensor) -> torch.Tensor:
    return doubt(net.activations(images.unsqueeze(1).float().div(255))[1]).squeeze(1)


def test_unseen_digits_are_doubted_less_than_unseen_others() -> None:
    """Even an untrained net's layers tell them apart."""
    net = initial_classifier(NET, SEEDS)
    weights = deepcopy(net.state_dict())
    doubt = fitted(net)
    of_digits = doubts(net, doubt, torch.from_numpy(TEST.images[:500]))
    of_others = doubts(net, doubt, torch.from_numpy(non_digits(300, TEST, seed=1)))
    assert of_digits.shape == (500,) and of_digits.min() >= 0 and of_others.max() <= 1
    assert (of_digits < 0.5).float().mean() > 0.95 and of_others.mean() > 10 * of_digits.mean()
    assert all(weight.equal(weights[name]) for name, weight in net.state_dict().items())


def test_the_seed_alone_determines_it() -> None:
    net = initial_classifier(NET, SEEDS)
    first, again, other = fitted(net), fitted(net), fitted(net, SeedStream(1, 0))
    pairs = [(first.state_dict()[name], again.state_dict()[name]) for name in first.state_dict()]
    assert all(one.equal(same) for one, same in pairs)
    assert not first.layers[0].weight.equal(other.layers[0].weight)  # type: ignore[operator]
