"""The classifier's training loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn, optim
from torch.optim.swa_utils import AveragedModel

from tenfold.checkpoint import Checkpoint
from tenfold.classifier import Classifier
from tenfold.compute import autocast
from tenfold.draws import derived_seed
from tenfold.errors import RunFailed
from tenfold.expansion import Expansion
from tenfold.schedule import moving_average, warm_up_then_decay
from tenfold.settings import Settings

ANSWER_BATCH = 500

AfterEpoch = Callable[[dict[str, Any], Checkpoint], None]


def fit_classifier(
    expansion: Expansion,
    settings: Settings,
    fold: int,
    resume: Checkpoint | None,
    after_epoch: AfterEpoch,
    validate: Callable[[nn.Module], dict[str, float]] | None = None,
) -> Classifier:
    """Train one classifier and give the average of its weights, in evaluation mode, on the CPU.

    `after_epoch` gets each epoch's record and a checkpoint; `resume` is such a checkpoint. `validate` looks at
    the averaged net after each epoch for the record alone: the last epoch is taken, whatever it says.
    Raises RunFailed where the loss stops being a number.
    """
    fit, device = settings.fit, expansion.images.device
    torch.manual_seed(derived_seed(settings.seed, fold, "classifier"))
    net = Classifier(settings.net).to(device).to(memory_format=torch.channels_last)
    averaged = AveragedModel(net, multi_avg_fn=moving_average(fit.ema_decay), use_buffers=True)
    optimiser = optim.AdamW(net.parameters(), lr=fit.lr, weight_decay=fit.weight_decay)
    modules, optimisers = {"net": net, "averaged": averaged}, {"adamw": optimiser}
    if resume:
        resume.restore(modules, optimisers)

    steps = fit.epochs * expansion.steps
    for epoch in range(resume.epochs_done if resume else 0, fit.epochs):
        draws = torch.Generator(device).manual_seed(derived_seed(settings.seed, fold, "batches", epoch))
        net.train()
        total_loss = torch.zeros((), device=device)
        for number, (images, labels) in enumerate(expansion.epoch(draws), epoch * expansion.steps):
            optimiser.param_groups[0]["lr"] = fit.lr * warm_up_then_decay(number, steps, fit.warmup)
            optimiser.zero_grad(set_to_none=True)
            with autocast(settings.compute):
                logits = net(images.contiguous(memory_format=torch.channels_last))
                loss = F.cross_entropy(logits, labels, label_smoothing=fit.label_smoothing)
            loss.backward()
            optimiser.step()
            averaged.update_parameters(net)
            total_loss += loss.detach()
        mean_loss = float(total_loss) / expansion.steps
        if not np.isfinite(mean_loss):
            raise RunFailed(
                f"the classifier's loss became {mean_loss} in epoch {epoch + 1} (peak learning rate {fit.lr}); "
                f"the checkpoint after epoch {epoch} is untouched, start afresh with a smaller --fit.lr"
            )
        record: dict[str, Any] = {"epoch": epoch + 1, "epochs": fit.epochs, "loss": round(mean_loss, 6)}
        if validate:
            record |= validate(averaged.module)
        after_epoch(record, Checkpoint.of(epoch + 1, modules, optimisers))
    return answering(averaged.module)


def answering(net: Classifier | nn.Module) -> Classifier:
    """The net as it answers: on the CPU, evaluation mode, fp32, as it will be exported."""
    assert isinstance(net, Classifier)
    return net.to("cpu").eval()


@torch.inference_mode()
def probabilities(net: nn.Module, images: npt.NDArray[np.uint8], device: torch.device) -> npt.NDArray[np.float32]:
    """What `net` says of images uint8 (N, 28, 28), in fp32: (N, 10)."""
    was_training = net.training
    net.eval()
    answers: list[Tensor] = []
    for start in range(0, len(images), ANSWER_BATCH):
        batch = torch.from_numpy(images[start : start + ANSWER_BATCH]).to(device).unsqueeze(1).float().div_(255)
        answers.append(net(batch.contiguous(memory_format=torch.channels_last)).softmax(1).cpu())
    net.train(was_training)
    return torch.cat(answers).numpy() if answers else np.empty((0, 10), np.float32)
