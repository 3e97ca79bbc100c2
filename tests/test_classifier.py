"""The net's shapes, and its answer averaged over shifts."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from tenfold.models.classifier import Classifier
from tenfold.models.inference import for_inference
from tenfold.settings import Net
from tenfold.sources import sample

CHANNELS = (6, 8, 10)


@pytest.fixture
def images() -> Tensor:
    """Digits whose outermost pixels are empty, so that rolling them is moving them."""
    digits = torch.from_numpy(sample.load()[1].images[:9].copy())
    digits[:, :2] = digits[:, -2:] = digits[:, :, :2] = digits[:, :, -2:] = 0
    return digits.unsqueeze(1).float() / 255


@pytest.fixture
def net() -> Classifier:
    torch.manual_seed(3)
    return Classifier(Net(CHANNELS)).eval()


def test_it_sees_every_pixel_and_gives_ten_logits(net: Classifier, images: Tensor) -> None:
    x = images[:1].clone().requires_grad_()
    logits = net(x)
    assert logits.shape == (1, 10)
    seen = torch.zeros(28, 28)
    for label in range(10):
        (gradient,) = torch.autograd.grad(logits[0, label], x, retain_graph=True)
        seen += gradient[0, 0].abs()
    assert (seen > 0).float().mean() > 0.9


@pytest.mark.parametrize("px", [1, 2])
def test_the_answer_is_the_mean_probability_over_five_places(net: Classifier, images: Tensor, px: int) -> None:
    places = [(0, 0), (px, 0), (-px, 0), (0, px), (0, -px)]
    with torch.inference_mode():
        expected = torch.stack([net(images.roll(place, (2, 3))).softmax(1) for place in places]).mean(0)
        said = for_inference(net, Net(CHANNELS, tta_shift_px=px))(images)
    assert said.softmax(1).numpy() == pytest.approx(expected.numpy(), abs=1e-6)
    assert said.exp().sum(1).numpy() == pytest.approx(np.ones(9), abs=1e-5)


def test_without_shifts_the_net_itself_answers(net: Classifier) -> None:
    assert for_inference(net, Net(CHANNELS, tta_shift_px=0)) is net
