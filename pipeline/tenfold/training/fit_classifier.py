"""The classifier's training loop."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn, optim

from tenfold.data.batches import Batches, Predict
from tenfold.errors import Diverged
from tenfold.models.classifier import Classifier
from tenfold.models.inference import probabilities
from tenfold.seeds import SeedStream
from tenfold.settings import Compute, Fit, Net
from tenfold.storage.checkpoint import Checkpoint
from tenfold.storage.epoch_log import AfterStep, ClassifierEpoch
from tenfold.training.device import autocast
from tenfold.training.muon import Muon
from tenfold.training.schedule import MovingAverage, RateCut, cut_rate, warm_up_then_decay

AfterEpoch = Callable[[ClassifierEpoch, Checkpoint], None]


def fit_classifier(
    net: Classifier,
    batches: Batches,
    fit: Fit,
    compute: Compute,
    seeds: SeedStream,
    *,
    resume: Checkpoint | None = None,
    after_epoch: AfterEpoch | None = None,
    after_step: AfterStep | None = None,
    validate: Callable[[nn.Module], float] | None = None,
    rate_cuts: Sequence[RateCut] = (),
) -> Classifier:
    """Train `net` and return the average of its weights.

    `after_epoch` gets each epoch's record and a checkpoint, which `resume` continues from. `after_step` gets how far
    the epoch is. `validate` gives the
    accuracy of the averaged net after each epoch, for the log only: the last epoch's net is used.
    Raises Diverged when the loss becomes NaN or infinite.
    """
    device = batches.images.device
    net = net.to(device).to(memory_format=torch.channels_last)  # the faster layout for convolutions
    averaged = MovingAverage(net, fit.ema_decay)
    muon = Muon(net.kernels(), lr=fit.kernel_lr, weight_decay=fit.weight_decay)
    adamw = optim.AdamW(net.other_parameters(), lr=fit.lr, weight_decay=fit.weight_decay)
    modules = {"net": net, "averaged": averaged.net}
    optimisers: dict[str, optim.Optimizer] = {"muon": muon, "adamw": adamw}
    if resume:
        resume.restore(modules, optimisers)

    steps = fit.epochs * batches.steps
    for epoch in range(resume.epochs_done if resume else 0, fit.epochs):
        rng = torch.Generator(device).manual_seed(seeds.seed_of("batches", epoch))
        net.train()
        cut_factor = cut_rate(rate_cuts, epoch)
        losses = torch.zeros(batches.steps, device=device)  # read once per epoch: reading waits for the device
        # In the first epoch the averaged net is not trained yet, so all generated digits are used.
        predict = _predictor(averaged.net) if batches.needs_predictions and epoch else None
        generated = batches.generated(rng, predict)
        for step, (images, targets) in enumerate(batches.epoch(generated, rng)):
            total_step = epoch * batches.steps + step
            rate = cut_factor * warm_up_then_decay(total_step, steps, fit.warmup)
            muon.param_groups[0]["lr"], adamw.param_groups[0]["lr"] = fit.kernel_lr * rate, fit.lr * rate
            net.zero_grad(set_to_none=True)
            with autocast(compute):
                logits = net(images.contiguous(memory_format=torch.channels_last))
                loss = F.cross_entropy(logits, targets, label_smoothing=fit.label_smoothing)
            loss.backward()
            muon.step()
            adamw.step()
            averaged.update(total_step)
            losses[step] = loss.detach()
            if after_step:
                after_step(epoch + 1, fit.epochs, (step + 1) / batches.steps)
        _require_finite(losses, fit, epoch, steps, cut_factor)
        record = ClassifierEpoch(
            epoch=epoch + 1,
            epochs=fit.epochs,
            loss=round(float(losses.mean()), 6),
            validation_accuracy=validate(averaged.net) if validate else None,
            generated=len(generated.labels) if batches.needs_predictions else None,
            left_out=int(generated.left_out.sum()) if batches.needs_predictions else None,
        )
        if after_epoch:
            after_epoch(record, Checkpoint.of(epoch + 1, modules, optimisers))
    return averaged.net


def outline(settings: Net) -> dict[str, nn.Module]:
    """The modules in a checkpoint of `fit_classifier`: names and shapes, no values."""
    with torch.device("meta"):
        net = Classifier(settings)
    return {"net": net, "averaged": net}


def _predictor(net: Classifier) -> Predict:
    """A function from images to the net's probabilities."""

    def predict(images: Tensor) -> Tensor:
        probs = probabilities(net, images.cpu().numpy(), images.device)
        return torch.from_numpy(probs).to(images.device)

    return predict


def _require_finite(losses: Tensor, fit: Fit, epoch: int, steps: int, cut_factor: float) -> None:
    """Raise Diverged if one of an epoch's losses (steps,) is NaN or infinite."""
    bad = (~losses.isfinite()).nonzero().flatten().tolist()
    if bad:
        step = bad[0]
        rate = cut_factor * warm_up_then_decay(epoch * len(losses) + step, steps, fit.warmup)
        raise Diverged(
            f"the classifier's loss became {float(losses[step])} in epoch {epoch + 1}, step {step + 1} "
            f"(learning rates {fit.kernel_lr * rate:.2g} and {fit.lr * rate:.2g}); to resume after epoch "
            f"{epoch} with lower rates, use --cut-rates 0.5, or start over with lower --fit.kernel-lr and --fit.lr"
        )
