"""Learning rates over a training, and the moving average of weights."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tenfold.training.schedule import MovingAverage, RateCut, cut_rate, warm_up_then_decay


def test_the_learning_rate_rises_then_falls_to_zero() -> None:
    rates = [warm_up_then_decay(step, 100, 0.2) for step in range(100)]
    peak = rates.index(max(rates))
    assert 18 <= peak <= 21 and max(rates) == pytest.approx(1, abs=0.03)
    assert rates[:peak] == sorted(rates[:peak]) and rates[peak:] == sorted(rates[peak:], reverse=True)
    assert 0 < rates[0] < 0.05 and 0 < rates[-1] < 0.05


def test_rate_cuts_multiply_from_their_epoch_on() -> None:
    cuts = (RateCut(1, 0.5), RateCut(3, 0.1))
    assert [cut_rate(cuts, epoch) for epoch in range(4)] == pytest.approx([1, 0.5, 0.5, 0.05])


def test_the_average_decays_faster_in_its_first_updates() -> None:
    net = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    average = MovingAverage(net, 0.5)
    expected = {name: value.clone() for name, value in net.state_dict().items() if value.is_floating_point()}
    assert "1.running_var" in expected
    for n, decay in enumerate((0.1, 2 / 11, 0.25, 4 / 13, 5 / 14, 0.4, 7 / 16, 8 / 17, 0.5, 0.5, 0.5)):
        with torch.no_grad():
            for value in net.state_dict().values():
                value.copy_(value + 1)
        average.update(n)
        for name, value in expected.items():
            value.lerp_(net.state_dict()[name], 1 - decay)
    averaged = average.net.state_dict()
    assert all(torch.allclose(averaged[name], value) for name, value in expected.items())
    assert not any(parameter.requires_grad for parameter in average.net.parameters())


def test_the_average_shares_no_weights_with_the_net() -> None:
    net = nn.Linear(2, 3)
    average = MovingAverage(net, 0.9)
    before = average.net.weight.clone()
    with torch.no_grad():
        net.weight.zero_()
    assert torch.equal(average.net.weight, before)
