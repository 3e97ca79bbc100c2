"""The conditional GAN's training loop, and drawing from what it made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn, optim

from tenfold.cgan import Discriminator, Generator, discriminator_loss, generator_loss
from tenfold.checkpoint import Checkpoint
from tenfold.compute import autocast
from tenfold.draws import Stream
from tenfold.errors import Diverged
from tenfold.expansion import Sampler
from tenfold.schedule import MovingAverage, RateCut, cut_rate, passes_per_epoch, steps_per_epoch
from tenfold.settings import Cgan, Settings
from tenfold_onnx.images import sheet_png

GRID_COLUMNS = 10
GRID_LABELS = torch.arange(10).repeat_interleave(GRID_COLUMNS)  # a row a digit
SAMPLE_BATCH = 1000
SPREAD_DIGITS = 5000  # real digits with whose variety the drawn ones are compared

AfterEpoch = Callable[[dict[str, Any], Checkpoint, bytes], None]


def fit_generator(
    images: Tensor,
    labels: Tensor,
    settings: Settings,
    stream: Stream,
    resume: Checkpoint | None,
    after_epoch: AfterEpoch,
    rate_cuts: Sequence[RateCut] = (),
) -> Generator:
    """Train the two players on uint8 (N, 28, 28) and int64 (N,); give the averaged generator, in evaluation mode.

    `after_epoch` gets each epoch's record, a checkpoint, and a PNG of digits drawn from fixed z: a row a digit.
    The record's "variety" is 1 where drawn digits of a class differ as much as real ones, near 0 after a collapse.
    Raises Diverged where a loss stops being a number.
    """
    cgan, device = settings.cgan, images.device
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

    real_spread = _spread(images[:SPREAD_DIGITS], labels[:SPREAD_DIGITS])
    batch = cgan.batch_size
    steps = steps_per_epoch(len(images), cgan.epoch_images, batch)
    for epoch in range(resume.epochs_done if resume else 0, cgan.epochs):
        draws = torch.Generator(device).manual_seed(stream.seed_of("cgan batches", epoch))
        passes = passes_per_epoch(len(images), steps, batch)
        order = torch.cat([torch.randperm(len(images), generator=draws, device=device) for _ in range(passes)])
        losses = torch.zeros(2, device=device)
        lr = cgan.lr * cut_rate(rate_cuts, epoch)
        optimiser_d.param_groups[0]["lr"] = optimiser_g.param_groups[0]["lr"] = lr
        for step in range(steps):
            index = order[step * batch : (step + 1) * batch]
            real = images[index].unsqueeze(1).float().div_(255).contiguous(memory_format=torch.channels_last)
            real_labels = labels[index]
            z = torch.randn(batch, cgan.z_dim, device=device, generator=draws)

            with autocast(settings.compute):
                generated = generator(z, real_labels)
                loss_d = discriminator_loss(discriminator, real, generated, real_labels)
            optimiser_d.zero_grad(set_to_none=True)
            loss_d.backward()
            optimiser_d.step()

            discriminator.requires_grad_(False)  # the generator's step needs no gradient of its opponent's weights
            with autocast(settings.compute):
                loss_g = generator_loss(discriminator, generated, real_labels)
            optimiser_g.zero_grad(set_to_none=True)
            loss_g.backward()
            optimiser_g.step()
            discriminator.requires_grad_(True)

            averaged.update(epoch * steps + step)
            losses += torch.stack([loss_d.detach(), loss_g.detach()])
        mean_d, mean_g = (losses / steps).tolist()
        if not (np.isfinite(mean_d) and np.isfinite(mean_g)):
            raise Diverged(
                f"a loss of the cGAN became {mean_d} / {mean_g} in epoch {epoch + 1} (learning rate {lr:.2g}); "
                f"the checkpoint after epoch {epoch} is untouched. Continue from it with --cut-rates 0.5, "
                "or start afresh with a smaller --cgan.lr"
            )
        drawn = _drawn(averaged.net, settings, stream)
        record = {
            "epoch": epoch + 1,
            "epochs": cgan.epochs,
            "loss_discriminator": round(mean_d, 6),
            "loss_generator": round(mean_g, 6),
            "variety": round(_spread(drawn, GRID_LABELS) / real_spread, 4),
        }
        grid = sheet_png(drawn.cpu().numpy(), GRID_COLUMNS)
        after_epoch(record, Checkpoint.of(epoch + 1, modules, optimisers), grid)
    return drawing(averaged.net)


def outline(settings: Cgan) -> dict[str, nn.Module]:
    """The players that a checkpoint of `fit_generator` holds, without values: names and shapes alone."""
    with torch.device("meta"):
        generator, discriminator = Generator(settings), Discriminator(settings)
    return {"generator": generator, "discriminator": discriminator, "averaged": generator}


def drawing(generator: Generator) -> Generator:
    """The generator as it draws: evaluation mode."""
    return generator.eval()


def sampler(generator: Generator, z_dim: int) -> Sampler:
    """A function that draws digits: labels (N,) and a source of draws to images uint8 (N, 28, 28)."""

    @torch.inference_mode()
    def sample(labels: Tensor, draws: torch.Generator) -> Tensor:
        parts = []
        for part in labels.split(SAMPLE_BATCH):
            z = torch.randn(len(part), z_dim, device=labels.device, generator=draws)
            parts.append(generator(z, part).squeeze(1).mul(255).round().to(torch.uint8))
        return torch.cat(parts)

    return sample


def _drawn(generator: Generator, settings: Settings, stream: Stream) -> Tensor:
    """A digit for each of GRID_LABELS, uint8 (100, 28, 28), on z that stays the same through training."""
    device = next(generator.parameters()).device
    draws = torch.Generator(device).manual_seed(stream.seed_of("cgan grid"))
    was_training = generator.training
    images = sampler(drawing(generator), settings.cgan.z_dim)(GRID_LABELS.to(device), draws)
    generator.train(was_training)
    return images


def _spread(images: Tensor, labels: Tensor) -> float:
    """How much digits of one class differ: a pixel's standard deviation, mean over pixels and classes."""
    spreads = [images[labels == label].float().std(0, correction=0).mean() for label in labels.unique()]
    return max(float(torch.stack(spreads).mean()), 1e-6)
