"""The net's shapes, and its predictions alone, in batches and averaged over shifts."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from conftest import few_digits
from torch import Tensor

from tenfold.models.classifier import Classifier
from tenfold.models.inference import for_inference, probabilities
from tenfold.settings import Net
from tenfold.sources import sample

CHANNELS = (6, 8, 10)
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def images() -> Tensor:
    """Digits with an empty border, so that rolling an image shifts its digit."""
    digits = torch.from_numpy(sample.load()[1].images[:9].copy())
    digits[:, :2] = digits[:, -2:] = digits[:, :, :2] = digits[:, :, -2:] = 0
    return digits.unsqueeze(1).float() / 255


@pytest.fixture
def net() -> Classifier:
    torch.manual_seed(3)
    return Classifier(Net(CHANNELS)).eval()


def test_it_sees_every_pixel_and_gives_ten_logits(net: Classifier, images: Tensor) -> None:
    x = images.clone().requires_grad_()
    logits = net(x)
    assert logits.shape == (9, 10)
    gradients = [torch.autograd.grad(logit, x, retain_graph=True)[0] for logit in logits.sum(0)]
    influence = torch.stack(gradients).abs().sum((0, 1))  # of each pixel, in any of the digits
    assert (influence > 0).float().mean() > 0.9


@pytest.mark.parametrize("px", [1, 2])
def test_predictions_are_averaged_over_five_shifts(net: Classifier, images: Tensor, px: int) -> None:
    shifts = [(0, 0), (px, 0), (-px, 0), (0, px), (0, -px)]
    with torch.inference_mode():
        expected = torch.stack([net(images.roll(shift, (2, 3))).softmax(1) for shift in shifts]).mean(0)
        logits = for_inference(net, Net(CHANNELS, tta_shift_px=px))(images)
    assert logits.softmax(1).numpy() == pytest.approx(expected.numpy(), abs=1e-6)
    assert logits.exp().sum(1).numpy() == pytest.approx(np.ones(9), abs=1e-5)


def test_without_shifts_the_net_itself_predicts(net: Classifier) -> None:
    assert for_inference(net, Net(CHANNELS, tta_shift_px=0)) is net


def test_a_prediction_does_not_depend_on_the_batch(net: Classifier) -> None:
    digits = few_digits(203).images  # more than four batches
    together = probabilities(net, digits, CPU)
    assert together.shape == (203, 10) and together.sum(1) == pytest.approx(np.ones(203), abs=1e-5)
    assert together[170] == pytest.approx(probabilities(net, digits[170:171], CPU)[0], abs=1e-6)
    assert probabilities(net, digits[:0], CPU).shape == (0, 10)


def test_predicting_leaves_a_net_in_training_mode(net: Classifier) -> None:
    expected = probabilities(net, few_digits(3).images, CPU)
    assert (probabilities(net.train(), few_digits(3).images, CPU) == expected).all()
    assert net.training


def test_activations_end_in_the_same_logits(net: Classifier, images: Tensor) -> None:
    with torch.inference_mode():
        logits, activations = net.activations(images)
        assert torch.equal(logits, net(images))
    assert [tuple(part.shape[1:]) for part in activations] == [(6, 14, 14), (8, 14, 14), (10, 7, 7)]
