"""The classifier's training loop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn, optim

from tenfold.data.batches import Expansion, Predict
from tenfold.errors import Diverged
from tenfold.models.classifier import Classifier
from tenfold.models.inference import probabilities
from tenfold.models.weights import load_weights
from tenfold.seeds import SeedStream
from tenfold.settings import Fit, Net, Settings
from tenfold.storage.checkpoint import Checkpoint
from tenfold.training.device import autocast
from tenfold.training.muon import Muon
from tenfold.training.schedule import MovingAverage, RateCut, cut_rate, warm_up_then_decay

AfterEpoch = Callable[[dict[str, Any], Checkpoint], None]


def fit_classifier(
    expansion: Expansion,
    settings: Settings,
    stream: SeedStream,
    resume: Checkpoint | None,
    after_epoch: AfterEpoch,
    validate: Callable[[nn.Module], dict[str, float]] | None = None,
    init: Path | None = None,
    rate_cuts: Sequence[RateCut] = (),
) -> Classifier:
    """Train one classifier and give the average of its weights.

    `after_epoch` gets each epoch's record and a checkpoint; `resume` is such a checkpoint. `validate` looks at
    the averaged net after each epoch for the record alone: the last epoch is taken, whatever it says. `init` is
    a file of weights to begin with. Raises Diverged where the loss stops being a number.
    """
    fit, device = settings.fit, expansion.images.device
    torch.manual_seed(stream.seed_of("classifier"))
    net = Classifier(settings.net)
    if init:
        load_weights(init, net)
    net = net.to(device).to(memory_format=torch.channels_last)
    averaged = MovingAverage(net, fit.ema_decay)
    muon = Muon(net.kernels(), lr=fit.kernel_lr, weight_decay=fit.weight_decay)
    adamw = optim.AdamW(net.other_parameters(), lr=fit.lr, weight_decay=fit.weight_decay)
    modules = {"net": net, "averaged": averaged.net}
    optimisers: dict[str, optim.Optimizer] = {"muon": muon, "adamw": adamw}
    if resume:
        resume.restore(modules, optimisers)

    steps = fit.epochs * expansion.steps
    for epoch in range(resume.epochs_done if resume else 0, fit.epochs):
        draws = torch.Generator(device).manual_seed(stream.seed_of("batches", epoch))
        net.train()
        peak = cut_rate(rate_cuts, epoch)
        losses = torch.zeros(expansion.steps, device=device)  # read once an epoch: reading waits for the device
        opinion = _opinion(averaged.net) if expansion.asks and epoch else None  # a net at its start has none
        generated = expansion.generated(draws, opinion)
        for step, (images, targets) in enumerate(expansion.batches(generated, draws)):
            n = epoch * expansion.steps + step
            rate = peak * warm_up_then_decay(n, steps, fit.warmup)
            muon.param_groups[0]["lr"], adamw.param_groups[0]["lr"] = fit.kernel_lr * rate, fit.lr * rate
            net.zero_grad(set_to_none=True)
            with autocast(settings.compute):
                logits = net(images.contiguous(memory_format=torch.channels_last))
                loss = F.cross_entropy(logits, targets, label_smoothing=fit.label_smoothing)
            loss.backward()
            muon.step()
            adamw.step()
            averaged.update(n)
            losses[step] = loss.detach()
        _require_finite(losses, fit, epoch, steps, peak)
        record: dict[str, Any] = {"epoch": epoch + 1, "epochs": fit.epochs, "loss": round(float(losses.mean()), 6)}
        if expansion.asks:
            record |= {"generated": len(generated.labels), "left_out": int(generated.left_out.sum())}
        if validate:
            record |= validate(averaged.net)
        after_epoch(record, Checkpoint.of(epoch + 1, modules, optimisers))
    return averaged.net


def _opinion(net: Classifier) -> Predict:
    """What the net says of generated digits."""

    def opinion(images: Tensor) -> Tensor:
        said = probabilities(net, images.cpu().numpy(), images.device)
        return torch.from_numpy(said).to(images.device)

    return opinion


def outline(settings: Net) -> dict[str, nn.Module]:
    """The nets that a checkpoint of `fit_classifier` holds, without values: names and shapes alone."""
    with torch.device("meta"):
        net = Classifier(settings)
    return {"net": net, "averaged": net}


def _require_finite(losses: Tensor, fit: Fit, epoch: int, steps: int, peak: float) -> None:
    """Raise Diverged where an epoch's losses (steps,) hold one that is no number."""
    wrong = (~losses.isfinite()).nonzero().flatten().tolist()
    if wrong:
        step = wrong[0]
        rate = peak * warm_up_then_decay(epoch * len(losses) + step, steps, fit.warmup)
        raise Diverged(
            f"the classifier's loss became {float(losses[step])} in epoch {epoch + 1}, step {step + 1} "
            f"(learning rates {fit.kernel_lr * rate:.2g} and {fit.lr * rate:.2g}); the checkpoint after epoch {epoch} "
            "is untouched. Continue from it with --cut-rates 0.5, or start afresh with lower "
            "--fit.kernel-lr and --fit.lr"
        )
