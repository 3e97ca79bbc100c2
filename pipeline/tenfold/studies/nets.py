"""Dense nets, convolutions with and without pooling, a support vector machine: what the architecture is worth."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

import torch
from sklearn.svm import SVC
from torch import nn, optim

from tenfold.models.classifier import Classifier
from tenfold.settings import Net, Warp
from tenfold.studies.cells import Material, Measurement
from tenfold.studies.plain_loop import Normalised, accuracy, rise_and_fall, train, warping
from tenfold.studies.study import Study, error_bars
from tenfold.studies.table import COUNT, DECIMAL, Table

EPOCHS: Final = 8
SVM: Final = "support vector machine"
SMALL: Final = "dense 128"
STRIDED: Final = "strides 1, 2, 2, no pooling"
DILATED: Final = "strides 1, 2, 2, dilated"
OURS: Final = "ours"
WARPED: Final = ", warped"


def strided(dilation: int = 1) -> nn.Module:
    """Strides 1, 2, 2 instead of pooling, one dense layer before the output; the second convolution may be dilated."""
    return nn.Sequential(
        *(nn.Conv2d(1, 32, 3, padding=1), nn.ReLU()),
        *(nn.Conv2d(32, 64, 3, stride=2, padding=dilation, dilation=dilation), nn.ReLU()),
        *(nn.Conv2d(64, 64, 3, stride=2, padding=1), nn.ReLU()),
        *(nn.Flatten(), nn.Linear(64 * 7 * 7, 128), nn.ReLU(), nn.Linear(128, 10)),
    )


def dense(*widths: int) -> nn.Module:
    """Dense layers from 784 pixels to 10 logits, dropout before the last."""
    inner = [layer for a, b in zip((784, *widths), widths, strict=False) for layer in (nn.Linear(a, b), nn.ReLU())]
    return nn.Sequential(nn.Flatten(), *inner, nn.Dropout(0.2), nn.Linear(widths[-1], 10))


NETS: Final[dict[str, Callable[[], nn.Module]]] = {
    SMALL: partial(dense, 128),
    "dense 512-256": partial(dense, 512, 256),
    STRIDED: strided,
    DILATED: partial(strided, 2),
}


def cells(quick: bool) -> list[str]:
    """Every net, and the smallest and the best one also with warps."""
    nets = [SMALL] if quick else list(NETS)
    return [SVM, *nets, OURS, SMALL + WARPED, OURS + WARPED]


def measure(cell: str, seed: int, material: Material) -> list[Measurement]:
    """Test accuracy after the last epoch."""
    if cell == SVM:
        machine = SVC(C=5, gamma=0.02)
        pixels, test_pixels = (part.images.reshape(len(part), -1) / 255.0 for part in (material.train, material.test))
        machine.fit(pixels, material.train.known_labels())
        return [Measurement(cell, {"accuracy": machine.score(test_pixels, material.test.known_labels())})]
    name = cell.removesuffix(WARPED)
    torch.manual_seed(seed)
    net = Classifier(Net()) if name == OURS else Normalised(NETS[name]())
    optimiser = optim.AdamW(net.parameters(), lr=0.003, weight_decay=0.02)
    epochs, augment = 1 if material.quick else EPOCHS, warping(Warp()) if cell.endswith(WARPED) else None
    train(net, optimiser, material.train, epochs, seed, material.compute, augment, rise_and_fall)
    parameters = sum(weight.numel() for weight in net.parameters())
    return [Measurement(cell, {"accuracy": accuracy(net, material.test), "parameters": parameters})]


def verdict(table: Table) -> str:
    """How far convolutions beat the support vector machine, and what warps add to either kind of net."""
    svm, small, ours = (100 * table.mean(name, "accuracy") for name in (SVM, SMALL, OURS))
    best = max(table.names(), key=lambda name: table.mean(name, "accuracy"))
    dense_gain, our_gain = (table.points(name + WARPED, name, "accuracy") for name in (SMALL, OURS))
    return (
        f"The support vector machine reaches {svm:.2f} % accuracy, the smallest dense net {small:.2f} %, our "
        f"convolutional net {ours:.2f} %; the best row is “{best}” with {100 * table.mean(best, 'accuracy'):.2f} %. In "
        f"{EPOCHS} epochs, warps change the smallest dense net by {dense_gain} points and our net by {our_gain}."
    )


STUDY: Final = Study(
    name="nets",
    title="What is the architecture worth?",
    claim=(
        "A support vector machine has an error of 0.8 %; three convolutions with strides 1, 2, 2 and one dense layer "
        "need no pooling; a dilated layer might help"
    ),
    source="[classic results](http://yann.lecun.com/exdb/mnist), [alrPhysics/MNIST](https://github.com/alrPhysics/MNIST)",
    protocol=(
        f"All nets alike: {EPOCHS} epochs of AdamW on the 42,000 training rows (learning rate 0.003, warm-up over "
        "15 %, then linear decay to 0; weight decay 0.02), batch 128, cross-entropy, bf16 where the processor has it. "
        "Ours is 16-32-48-64-96 without Muon, EMA and test-time shifts. Of the two strided nets, the second has a "
        "dilation of 2 in its second convolution. The support vector machine has an RBF kernel, C = 5 and gamma = 0.02 "
        "on pixels in [0, 1]; no seed changes it. Limited by time: no virtual support vectors, which the classic 0.8 % "
        "has, and few epochs, so differences below a tenth of a point are not conclusive."
    ),
    columns={"accuracy": DECIMAL, "parameters": COUNT, "core-seconds": COUNT},
    cells=cells,
    measure=measure,
    plot=error_bars,
    verdict=verdict,
    once=(SVM,),
)
