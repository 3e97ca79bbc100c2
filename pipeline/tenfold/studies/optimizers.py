"""Adam, Adamax, Adadelta, SGD; all the data and a tenth of it; and where an accuracy of 0.1135 comes from."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

import numpy as np
import torch
from markupsafe import Markup
from sklearn.model_selection import train_test_split
from torch import optim

from tenfold.report import figures
from tenfold.settings import Warp
from tenfold.studies.cells import Material, Measurement
from tenfold.studies.nets import strided
from tenfold.studies.plain_loop import Normalised, accuracy, predicted, train, warping
from tenfold.studies.study import Study
from tenfold.studies.table import COUNT, DECIMAL, Table

EPOCHS: Final = 6
ADAM: Final = "Adam"
TENTH, TENTH_WARPED, KILLED = (
    "Adam, 10 % of the data",
    "Adam, 10 % of the data, warped",
    "Adam at 0.5, 10 % of the data",
)
COMMONEST: Final = "always the commonest digit"

OPTIMISERS: Final[dict[str, Callable[..., optim.Optimizer]]] = {
    ADAM: partial(optim.Adam, lr=1e-3),
    "Adamax": partial(optim.Adamax, lr=2e-3),
    "Adadelta": partial(optim.Adadelta, lr=1.0),
    "SGD": partial(optim.SGD, lr=0.1, momentum=0.9),
}
ON_A_TENTH: Final[dict[str, Callable[..., optim.Optimizer]]] = {
    TENTH: OPTIMISERS[ADAM],
    TENTH_WARPED: OPTIMISERS[ADAM],
    KILLED: partial(optim.Adam, lr=0.5),
}


def cells(quick: bool) -> list[str]:
    """Optimisers on all data, then Adam on a tenth of it."""
    return [*([ADAM] if quick else OPTIMISERS), *ON_A_TENTH, COMMONEST]


def measure(cell: str, seed: int, material: Material) -> list[Measurement]:
    """Accuracy on the test rows and on the training rows, and the share of the most frequent prediction."""
    digits, test = material.train, material.test
    if cell == COMMONEST:
        commonest = np.bincount(digits.known_labels()).argmax()
        share = float((test.known_labels() == commonest).mean())
        return [Measurement(cell, {"accuracy": share, "commonest answer": 1.0})]
    epochs = 1 if material.quick else EPOCHS
    if cell in ON_A_TENTH:
        labels = digits.known_labels()
        tenth, _ = train_test_split(np.arange(len(labels)), train_size=0.1, random_state=seed, stratify=labels)
        digits = digits.take(tenth)
        epochs *= 1 if cell == KILLED else 10  # as many steps, so that only the amount of data differs
    torch.manual_seed(seed)
    net = Normalised(strided())
    optimiser = (OPTIMISERS | ON_A_TENTH)[cell](net.parameters())
    train(net, optimiser, digits, epochs, seed, material.compute, warping(Warp()) if cell == TENTH_WARPED else None)
    labels = predicted(net, test.images)
    numbers = {
        "accuracy": float((labels == test.known_labels()).mean()),
        "on the training rows": accuracy(net, digits),
        "commonest answer": float(np.bincount(labels).max() / len(labels)),
    }
    return [Measurement(cell, numbers)]


def plot(table: Table) -> Markup:
    """Test error by row, without the two that always predict one digit: they would dwarf the others."""
    shown = [name for name in table.names() if name not in (KILLED, COMMONEST)]
    return figures.bars({name: table.error(name, "accuracy") for name in shown}, "test error, %")


def verdict(table: Table) -> str:
    """What the optimiser changes, what the amount of data changes, and where 0.1135 comes from."""
    on_all = [name for name in OPTIMISERS if name in table.names()]
    scores = ", ".join(f"{name} {table.mean(name, 'accuracy'):.4f}" for name in on_all)
    tenth, gain = table.mean(TENTH, "accuracy"), table.points(TENTH_WARPED, TENTH, "accuracy")
    ones, killed = table.mean(COMMONEST, "accuracy"), table.mean(KILLED, "accuracy")
    one_answer = 100 * table.mean(KILLED, "commonest answer")
    return (
        f"On all rows the optimisers reach {scores}. A tenth of the rows is enough for {tenth:.4f}, and warps change "
        f"that by {gain} points. A score like 0.1135 does not come from little data: the commonest digit alone scores "
        f"{ones:.4f} on these test rows, and a net killed by a learning rate of 0.5 scores {killed:.4f}, with the same "
        f"answer to {one_answer:.0f} % of them."
    )


STUDY: Final = Study(
    name="optimizers",
    title="Which optimiser, and how little data?",
    claim=(
        "Test accuracy of Adam 0.9664, Adamax 0.9924, Adadelta 0.9916, SGD 0.9908, training accuracy 0.9949 to 0.9998; "
        "all data without augmentation 0.9917; 10 % of the data 0.1135, with and without augmentation"
    ),
    source="[MrShjfu/mnist_vin](https://github.com/MrShjfu/mnist_vin)",
    protocol=(
        f"A small convolutional net (strides 1, 2, 2, one dense layer), cross-entropy, batch 128, {EPOCHS} epochs on "
        "the 42,000 training rows at a constant learning rate, no augmentation unless stated; the last epoch counts. "
        "Each optimiser has a usual rate: Adam 0.001, Adamax 0.002, Adadelta 1, SGD 0.1 with momentum 0.9. A tenth of "
        "the data gets ten times as many epochs, except for the net with rate 0.5, which dies at once. 0.1135 is the "
        "share of ones among MNIST's 10,000 test digits. Limited by time: few epochs, and no search for each "
        "optimiser's best rate, so their order holds for these rates only."
    ),
    columns={"accuracy": DECIMAL, "on the training rows": DECIMAL, "commonest answer": DECIMAL, "core-seconds": COUNT},
    cells=cells,
    measure=measure,
    plot=plot,
    verdict=verdict,
    once=(COMMONEST,),
)
