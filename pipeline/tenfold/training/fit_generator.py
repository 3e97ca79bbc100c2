"""The conditional GAN's training loop, and drawing from what it made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn, optim

from tenfold.data.batches import passes_per_epoch, steps_per_epoch
from tenfold.errors import Diverged
from tenfold.models.cgan import Discriminator, Generator
from tenfold.models.inference import sampler
from tenfold.seeds import SeedStream
from tenfold.settings import Cgan, Settings
from tenfold.storage.checkpoint import Checkpoint
from tenfold.training.device import autocast
from tenfold.training.gan_loss import GAN_LOSSES, discriminator_loss, generator_loss, gradient_penalty, shifted
from tenfold.training.schedule import MovingAverage, RateCut, cut_rate, decay_at_end
from tenfold_onnx.images import sheet_png

GRID_COLUMNS = 10
GRID_LABELS = torch.arange(10).repeat_interleave(GRID_COLUMNS)  # a row a digit
PENALTY_EVERY = 8  # steps; T. Karras et al., CVPR 2020, found that so rarely is often enough
SPREAD_DIGITS = 1000  # real digits with whose variety that of as many drawn ones is compared

AfterEpoch = Callable[[dict[str, Any], Checkpoint, bytes], None]


def fit_generator(
    images: Tensor,
    labels: Tensor,
    settings: Settings,
    stream: SeedStream,
    resume: Checkpoint | None,
    after_epoch: AfterEpoch,
    rate_cuts: Sequence[RateCut] = (),
) -> Generator:
    """Train the two players on uint8 (N, 28, 28) and int64 (N,); give the averaged generator, in evaluation mode.

    `after_epoch` gets each epoch's record, a checkpoint, and a PNG of digits drawn from fixed z: a row a digit.
    The record's "variety" is 1 where drawn digits of a class differ as much as real ones, near 0 after a collapse.
    Raises Diverged where a loss stops being a number.
    """
    cgan, device, aims = settings.cgan, images.device, GAN_LOSSES[settings.cgan.loss]
    torch.manual_seed(stream.seed_of("cgan"))
    generator = Generator(cgan).to(device).to(memory_format=torch.channels_last)
    discriminator = Discriminator(cgan).to(device).to(memory_format=torch.channels_last)
    averaged = MovingAverage(generator, cgan.ema_decay)
    betas = (0.5, 0.99)
    optimiser_g = optim.Adam(generator.parameters(), lr=cgan.lr, betas=betas)
    optimiser_d = optim.Adam(discriminator.parameters(), lr=cgan.lr, betas=betas)
    modules = {"generator": generator, "discriminator": discriminator, "averaged": averaged.net}
    optimisers = {"adam_g": optimiser_g, "adam_d": optimiser_d}
    if resume:
        resume.restore(modules, optimisers)

    batch = cgan.batch_size
    steps = steps_per_epoch(len(images), cgan.epoch_images, batch)
    for epoch in range(resume.epochs_done if resume else 0, cgan.epochs):
        draws = torch.Generator(device).manual_seed(stream.seed_of("cgan batches", epoch))
        passes = passes_per_epoch(len(images), steps, batch)
        order = torch.cat([torch.randperm(len(images), generator=draws, device=device) for _ in range(passes)])
        totals = torch.zeros(4, device=device)  # read once an epoch: reading waits for the device
        peak = cgan.lr * cut_rate(rate_cuts, epoch)
        for step in range(steps):
            n = epoch * steps + step
            lr = peak * decay_at_end(n, cgan.epochs * steps, cgan.lr_decay)
            optimiser_d.param_groups[0]["lr"] = optimiser_g.param_groups[0]["lr"] = lr
            index = order[step * batch : (step + 1) * batch]
            real = images[index].unsqueeze(1).float().div_(255).contiguous(memory_format=torch.channels_last)
            asked = labels[index]
            z = torch.randn(batch, cgan.z_dim, device=device, generator=draws)

            with autocast(settings.compute):
                generated = generator(z, asked)
                seen_real, seen = (shifted(part, cgan.shift_px, draws) for part in (real, generated))
                loss_d, *scores = discriminator_loss(aims, discriminator, seen_real, seen, asked)
            if cgan.r1 and n % PENALTY_EVERY == 0:
                loss_d = loss_d + cgan.r1 / 2 * PENALTY_EVERY * gradient_penalty(discriminator, seen_real, asked)
            optimiser_d.zero_grad(set_to_none=True)
            loss_d.backward()
            optimiser_d.step()

            discriminator.requires_grad_(False)  # the generator's step needs no gradient of its opponent's weights
            with autocast(settings.compute):
                loss_g = generator_loss(aims, discriminator, seen, asked)
            optimiser_g.zero_grad(set_to_none=True)
            loss_g.backward()
            optimiser_g.step()
            discriminator.requires_grad_(True)

            averaged.update(n)
            totals += torch.stack([loss_d.detach(), loss_g.detach(), *scores])
        mean_d, mean_g, score_real, score_generated = (totals / steps).tolist()
        if not (np.isfinite(mean_d) and np.isfinite(mean_g)):
            raise Diverged(
                f"a loss of the cGAN became {mean_d} / {mean_g} in epoch {epoch + 1} (learning rate {peak:.2g}); "
                f"the checkpoint after epoch {epoch} is untouched. Continue from it with --cut-rates 0.5, "
                "or start afresh with a smaller --cgan.lr"
            )
        drawn = _drawn(averaged.net, GRID_LABELS, settings, stream)
        record = {
            "epoch": epoch + 1,
            "epochs": cgan.epochs,
            "loss_discriminator": round(mean_d, 6),
            "loss_generator": round(mean_g, 6),
            "score_real": round(score_real, 6),
            "score_generated": round(score_generated, 6),
            "variety": round(variety(averaged.net, images, labels, settings, stream), 4),
        }
        grid = sheet_png(drawn.cpu().numpy(), GRID_COLUMNS)
        after_epoch(record, Checkpoint.of(epoch + 1, modules, optimisers), grid)
    return averaged.net.eval()


def variety(generator: Generator, images: Tensor, labels: Tensor, settings: Settings, stream: SeedStream) -> float:
    """How much drawn digits of a class differ, as a share of how much the training digits do."""
    some = labels[:SPREAD_DIGITS]
    return _spread(_drawn(generator, some, settings, stream), some) / _spread(images[:SPREAD_DIGITS], some)


def outline(settings: Cgan) -> dict[str, nn.Module]:
    """The players that a checkpoint of `fit_generator` holds, without values: names and shapes alone."""
    with torch.device("meta"):
        generator, discriminator = Generator(settings), Discriminator(settings)
    return {"generator": generator, "discriminator": discriminator, "averaged": generator}


def _drawn(generator: Generator, labels: Tensor, settings: Settings, stream: SeedStream) -> Tensor:
    """A digit for each of `labels`, uint8 (N, 28, 28), on z that stays the same through training."""
    device = next(generator.parameters()).device
    draws = torch.Generator(device).manual_seed(stream.seed_of("cgan grid"))
    was_training = generator.training
    images = sampler(generator.eval(), settings.cgan.z_dim)(labels.to(device), draws)
    generator.train(was_training)
    return images


def _spread(images: Tensor, labels: Tensor) -> float:
    """How much digits of one class differ: a pixel's standard deviation, mean over pixels and classes."""
    spreads = [images[labels == label].float().std(0, correction=0).mean() for label in labels.unique()]
    return max(float(torch.stack(spreads).mean()), 1e-6)  # a class of equal digits must not divide by nothing
