"""How weights are averaged."""

from __future__ import annotations

import torch
from torch import nn

from tenfold.training.schedule import MovingAverage


def test_the_average_keeps_its_share_of_weights_and_statistics_at_each_update() -> None:
    net = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    average = MovingAverage(net, 0.5)
    expected = {name: value.clone() for name, value in net.state_dict().items() if value.is_floating_point()}
    assert "1.running_var" in expected
    for n, keep in enumerate((0.1, 2 / 11, 0.25, 4 / 13, 5 / 14, 0.4, 7 / 16, 8 / 17, 0.5, 0.5, 0.5)):
        with torch.no_grad():
            for value in net.state_dict().values():
                value.copy_(value + 1)
        average.update(n)
        for name, value in expected.items():
            value.lerp_(net.state_dict()[name], 1 - keep)
    found = average.net.state_dict()
    for name, value in expected.items():
        assert torch.allclose(found[name], value), name
    assert not any(parameter.requires_grad for parameter in average.net.parameters())


def test_the_average_stands_apart_from_the_net() -> None:
    net = nn.Linear(2, 3)
    average = MovingAverage(net, 0.9)
    before = average.net.weight.clone()
    with torch.no_grad():
        net.weight.zero_()
    assert torch.equal(average.net.weight, before)
