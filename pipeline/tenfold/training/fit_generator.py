"""The conditional GAN's training loop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn, optim

from tenfold.data.batches import passes_per_epoch, steps_per_epoch
from tenfold.errors import Diverged
from tenfold.models.cgan import Discriminator, Generator
from tenfold.models.inference import sampler
from tenfold.seeds import SeedStream
from tenfold.settings import Cgan, Compute
from tenfold.storage.checkpoint import Checkpoint
from tenfold.storage.epoch_log import AfterStep, GeneratorEpoch
from tenfold.training.device import autocast
from tenfold.training.gan_loss import GAN_LOSSES, discriminator_loss, generator_loss, shifted
from tenfold.training.schedule import MovingAverage, RateCut, cut_rate
from tenfold_onnx.images import sheet_png

GRID_COLUMNS: Final = 10
GRID_LABELS: Final = torch.arange(10).repeat_interleave(GRID_COLUMNS)  # one row per digit
VARIETY_DIGITS: Final = 1000  # real digits whose variety is compared with that of as many generated ones

AfterEpoch = Callable[[GeneratorEpoch, Checkpoint, bytes], None]


def fit_generator(
    images: Tensor,
    labels: Tensor,
    cgan: Cgan,
    compute: Compute,
    seeds: SeedStream,
    *,
    resume: Checkpoint | None = None,
    after_epoch: AfterEpoch | None = None,
    after_step: AfterStep | None = None,
    rate_cuts: Sequence[RateCut] = (),
) -> Generator:
    """Train the pair on uint8 (N, 28, 28) and int64 (N,); return the averaged generator, in evaluation mode.

    `after_epoch` gets each epoch's record, a checkpoint, which `resume` continues from, and a PNG of digits drawn
    from fixed z, one row per digit. `after_step` gets how far the epoch is. Raises Diverged when a loss becomes NaN or
    infinite.
    """
    device, gan_loss = images.device, GAN_LOSSES[cgan.loss]
    torch.manual_seed(seeds.seed_of("cgan"))
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
        rng = torch.Generator(device).manual_seed(seeds.seed_of("cgan batches", epoch))
        passes = passes_per_epoch(len(images), steps, batch)
        order = torch.cat([torch.randperm(len(images), generator=rng, device=device) for _ in range(passes)])
        totals = torch.zeros(4, device=device)  # read once per epoch: each reading would wait for the device
        lr = cgan.lr * cut_rate(rate_cuts, epoch)
        optimiser_d.param_groups[0]["lr"] = optimiser_g.param_groups[0]["lr"] = lr
        for step in range(steps):
            index = order[step * batch : (step + 1) * batch]
            real = images[index].unsqueeze(1).float().div_(255).contiguous(memory_format=torch.channels_last)
            classes = labels[index]
            z = torch.randn(batch, cgan.z_dim, device=device, generator=rng)

            with autocast(compute):
                generated = generator(z, classes)
                seen_real, seen_generated = (shifted(part, cgan.shift_px, rng) for part in (real, generated))
                loss_d, *scores = discriminator_loss(gan_loss, discriminator, seen_real, seen_generated, classes)
            optimiser_d.zero_grad(set_to_none=True)
            loss_d.backward()
            optimiser_d.step()

            discriminator.requires_grad_(False)  # the generator's step needs no gradient of the discriminator's weights
            with autocast(compute):
                loss_g = generator_loss(gan_loss, discriminator, seen_generated, classes)
            optimiser_g.zero_grad(set_to_none=True)
            loss_g.backward()
            optimiser_g.step()
            discriminator.requires_grad_(True)

            averaged.update(epoch * steps + step)
            totals += torch.stack([loss_d.detach(), loss_g.detach(), *scores])
            if after_step:
                after_step(epoch + 1, cgan.epochs, (step + 1) / steps)
        mean_d, mean_g, score_real, score_generated = (totals / steps).tolist()
        if not (np.isfinite(mean_d) and np.isfinite(mean_g)):
            raise Diverged(
                f"a loss of the cGAN became {mean_d} / {mean_g} in epoch {epoch + 1} (learning rate {lr:.2g}); "
                f"to resume after epoch {epoch} with lower rates, use --cut-rates 0.5, "
                "or start over with a lower --cgan.lr"
            )
        if after_epoch:
            record = GeneratorEpoch(
                epoch=epoch + 1,
                epochs=cgan.epochs,
                loss_discriminator=round(mean_d, 6),
                loss_generator=round(mean_g, 6),
                score_real=round(score_real, 6),
                score_generated=round(score_generated, 6),
                variety=round(variety(averaged.net, images, labels, cgan, seeds), 4),
            )
            grid = sheet_png(_fixed_digits(averaged.net, GRID_LABELS, cgan, seeds).cpu().numpy(), GRID_COLUMNS)
            after_epoch(record, Checkpoint.of(epoch + 1, modules, optimisers), grid)
    return averaged.net.eval()


def variety(generator: Generator, images: Tensor, labels: Tensor, cgan: Cgan, seeds: SeedStream) -> float:
    """How much generated digits of a class vary, as a share of how much the training digits do.

    1 where they vary as much as real ones, near 0 after a collapse.
    """
    some = labels[:VARIETY_DIGITS]
    return _spread(_fixed_digits(generator, some, cgan, seeds), some) / _spread(images[:VARIETY_DIGITS], some)


def outline(settings: Cgan) -> dict[str, nn.Module]:
    """The modules in a checkpoint of `fit_generator`: names and shapes, no values."""
    with torch.device("meta"):
        generator, discriminator = Generator(settings), Discriminator(settings)
    return {"generator": generator, "discriminator": discriminator, "averaged": generator}


def _fixed_digits(generator: Generator, labels: Tensor, cgan: Cgan, seeds: SeedStream) -> Tensor:
    """A digit for each of `labels`, uint8 (N, 28, 28), from z that stays the same throughout training."""
    device = next(generator.parameters()).device
    rng = torch.Generator(device).manual_seed(seeds.seed_of("cgan grid"))
    was_training = generator.training
    images = sampler(generator.eval(), cgan.z_dim)(labels.to(device), rng)
    generator.train(was_training)
    return images


def _spread(images: Tensor, labels: Tensor) -> float:
    """How much digits of one class vary: a pixel's standard deviation, averaged over pixels and classes."""
    spreads = [images[labels == label].float().std(0, correction=0).mean() for label in labels.unique()]
    return max(float(torch.stack(spreads).mean()), 1e-6)  # equal digits in every class must not divide by zero
