"""Adam, Adamax, Adadelta, SGD; much data and little; and how 0.1135 comes about."""

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
from tenfold.studies.nets import strided
from tenfold.studies.plain_loop import Normalised, answers, train, warping
from tenfold.studies.study import Material, Measured, Study
from tenfold.studies.table import Table

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
    """Optimisers on all data, then a tenth of it under one of them."""
    return [*([ADAM] if quick else OPTIMISERS), *ON_A_TENTH, COMMONEST]


def measure(cell: str, seed: int, its: Material) -> list[Measured]:
    """Accuracy on the test rows and on the rows trained on, and the share of the commonest answer."""
    images, labels, key = its.train.images, its.train.known_labels(), its.test.known_labels()
    if cell == COMMONEST:
        commonest = int(np.bincount(labels).argmax())
        return [Measured(cell, {"accuracy": float((key == commonest).mean()), "commonest answer": 1.0})]
    epochs = 1 if its.quick else EPOCHS
    if cell in ON_A_TENTH:
        few, _ = train_test_split(np.arange(len(labels)), train_size=0.1, random_state=seed, stratify=labels)
        images, labels = images[few], labels[few]
        epochs *= 1 if cell == KILLED else 10  # as many steps, so that the amount of data is all that differs
    torch.manual_seed(seed)
    net = Normalised(strided())
    optimiser = (OPTIMISERS | ON_A_TENTH)[cell](net.parameters())
    widen = warping(Warp()) if cell == TENTH_WARPED else None
    train(net, optimiser, images, labels, epochs, seed, its.compute, widen)
    said, on_train = answers(net, its.test.images), answers(net, images)
    return [
        Measured(
            cell,
            {
                "accuracy": float((said == key).mean()),
                "on the training rows": float((on_train == labels).mean()),
                "commonest answer": float(np.bincount(said).max() / len(said)),
            },
        )
    ]


def plot(table: Table) -> Markup:
    """Test error by row; of the two that answer with one digit nothing would be left to see beside them."""
    shown = [name for name in table.names() if name not in (KILLED, COMMONEST)]
    return figures.bars({name: table.error(name, "accuracy") for name in shown}, "test error, %")


def verdict(table: Table) -> str:
    """What the optimiser changes, what the amount of data changes, and where 0.1135 is from."""
    on_all = [name for name in OPTIMISERS if name in table.names()]
    scores = ", ".join(f"{name} {table.mean(name, 'accuracy'):.4f}" for name in on_all)
    tenth, gain = table.mean(TENTH, "accuracy"), table.points(TENTH_WARPED, TENTH, "accuracy")
    ones, killed = table.mean(COMMONEST, "accuracy"), table.mean(KILLED, "accuracy")
    one_answer = 100 * table.mean(KILLED, "commonest answer")
    return (
        f"On all rows the optimisers come to {scores}; a tenth of the rows is enough for {tenth:.4f}, and warps "
        f"change that by {gain} points. A score like 0.1135 is no matter of data: {ones:.4f} is what the commonest "
        f"digit alone scores on these test rows, and a net killed by a learning rate of 0.5 scores {killed:.4f} with "
        f"one answer for {one_answer:.0f} % of them."
    )


STUDY: Final = Study(
    name="optimizers",
    title="Which optimiser, and how little data?",
    claim=(
        "Test accuracy of Adam 0.9664, Adamax 0.9924, Adadelta 0.9916, SGD 0.9908, of training 0.9949 to 0.9998; all "
        "data without augmentation 0.9917; 10 % of the data 0.1135, with augmentation and without"
    ),
    source="[MrShjfu/mnist_vin](https://github.com/MrShjfu/mnist_vin)",
    protocol=(
        f"A small convolutional net (strides 1, 2, 2, one dense layer), cross-entropy, batch 128, {EPOCHS} epochs on "
        "the 42,000 training rows at a constant rate, no augmentation unless said; the last epoch counts. Each "
        "optimiser has a usual rate: Adam 0.001, Adamax 0.002, Adadelta 1, SGD 0.1 with momentum 0.9. A tenth of the "
        "data is gone through ten times as often, save by the net that dies at once. 0.1135 is the share of ones "
        "among MNIST's 10,000 test digits. Cut for the time: epochs, and a rate chosen for each optimiser, so that "
        "their order here is that of these rates."
    ),
    columns=("accuracy", "on the training rows", "commonest answer", "core-seconds"),
    cells=cells,
    measure=measure,
    plot=plot,
    verdict=verdict,
    once=(COMMONEST,),
)
