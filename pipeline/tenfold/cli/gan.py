"""`tenfold gan`: the generator alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from cyclopts import App

from digit_recognizer import rows
from tenfold.cli.summary import command, show_next
from tenfold.cli.table import show_table
from tenfold.errors import BadInput
from tenfold.presets import Preset
from tenfold.settings import Settings
from tenfold.storage import atomic
from tenfold.terminal import busy, note, result

if TYPE_CHECKING:
    from tenfold.evaluation.generator_quality import Quality

MAX_DIGITS: Final = 1_000_000

gan = App(name="gan", help="Fit, score and use the generator alone: fit, score, sample.")


@gan.command
def fit(
    *,
    settings: Settings | None = None,
    preset: Preset | None = None,
    config: Path | None = None,
    out: Path | None = None,
    fresh: bool = False,
) -> None:
    """Fit the final generator on all training digits, and export it.

    The same command again continues. It is one training, so it uses all cores unless --workers says otherwise;
    `tenfold run --workers 1` with the same settings and --out does the rest of a run.

    Parameters
    ----------
    preset
        Predefined settings, as in `tenfold run`. Other options override it.
    config
        TOML file of settings; overrides the preset, options override both.
    out
        The folder; runs/SOURCE-gan by default.
    fresh
        Empty the folder first.
    """
    with busy("loading PyTorch"):
        from tenfold.report.generator_film import FILM, NETWORKS
        from tenfold.run import resolve
        from tenfold.run_generator import fit_final_generator
    from tenfold.storage.run_folder import GENERATOR
    from tenfold_onnx.contract import GENERATOR_ONNX

    settings = settings or Settings()
    settings = replace(settings, compute=replace(settings.compute, workers=settings.compute.workers or 1))
    settings, line = resolve(settings)
    note(line)
    folder = out or Path("runs") / f"{settings.data.source}-gan"
    fit_final_generator(settings, folder, fresh)
    result(f"written to {folder}: {GENERATOR_ONNX}; to {folder / GENERATOR}: {FILM}, {NETWORKS}, curves")
    show_next(
        [
            (command("generate", "0123456789", "--model", folder / GENERATOR_ONNX), "draws ten digits"),
            (command("gan", "score", folder), "measures how good they are"),
        ]
    )


@gan.command
def score(run: Path, /, *, seeds: int = 3) -> None:
    """Score a generator: how nets read its digits, how close they are to real ones, and whether they are copies.

    Writes generator.json into the folder. It first fits what that needs: the light net, and for the classification
    accuracy score (CAS) nets that learn from 42,000 generated digits alone.

    Parameters
    ----------
    run
        The folder of a run or of `tenfold gan fit`.
    seeds
        Nets for the CAS; 0 leaves it out.
    """
    if not 0 <= seeds <= 100:
        raise BadInput(f"seeds: must be an integer from 0 to 100, got {seeds}")
    from tenfold.run_generator import score_final_generator
    from tenfold.storage.run_folder import GENERATOR_SCORES

    quality = score_final_generator(run, seeds)
    show_table([f"of {quality.digits:,} digits", "generated", "real, unseen"], _quality_lines(quality))
    note(f"written: {run / GENERATOR_SCORES}")


@gan.command
def sample(
    model: Path | None = None, /, *, digits: int = 1000, seed: int = 0, out: Path = Path("generated.csv")
) -> None:
    """Draw a balanced set of labelled digits, as Kaggle's train.csv or as a folder of PNG files. Needs no torch.

    Parameters
    ----------
    model
        A generator.onnx; by default the one that comes with the package.
    digits
        How many, balanced over the ten digits.
    seed
        The same seed gives the same digits.
    out
        A .csv, or a new folder, which gets one folder per digit: 0/00000.png and so on.
    """
    from tenfold_onnx.runtime import Generator

    if not 1 <= digits <= MAX_DIGITS:
        raise BadInput(f"digits: must be an integer from 1 to {MAX_DIGITS}, got {digits}")
    labels = np.arange(digits) % 10
    as_csv = out.suffix.lower() == ".csv"
    if not as_csv and out.suffix:
        raise BadInput(f"{out}: must end in .csv or be a folder; give another --out")
    if not as_csv and out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise BadInput(f"{out}: not empty; give another --out")
    images = Generator(model).generate(labels, seed)
    if as_csv:
        atomic.write(out, rows.render(images, labels))
    else:
        from tenfold_onnx.images import sheet_png

        numbered = enumerate(zip(images, labels.tolist(), strict=True))
        files = ((f"{label}/{row:05}.png", sheet_png(image[None], 1, gap=0)) for row, (image, label) in numbered)
        atomic.write_folder(out, files)
    note(f"written: {out}, {digits:,} digits")


def _quality_lines(quality: Quality) -> list[list[str]]:
    """Generated digits beside unseen real ones."""
    lines = [["read as the requested digit", f"{quality.agreement_mean:.4f}", ""]]
    if quality.cas:
        mean, std = np.mean(quality.cas), np.std(quality.cas, ddof=1) if len(quality.cas) > 1 else 0.0
        lines.insert(0, [f"CAS, {len(quality.cas)} net{'s' * (len(quality.cas) > 1)}", f"{mean:.4f} ± {std:.4f}", ""])
    lines.append(["Fréchet distance", f"{quality.frechet:.3f}", f"{quality.frechet_floor:.3f}"])
    for name in ("precision", "recall", "density", "coverage"):
        numbers = [f"{getattr(manifold, name):.3f}" for manifold in (quality.manifold, quality.manifold_floor)]
        lines.append([name, *numbers])
    lines.append(
        ["distance to the nearest training digit", f"{quality.nearest_px:.2f}", f"{quality.nearest_floor_px:.2f}"]
    )
    lines.append(["nearer than 99 % of unseen real ones", f"{quality.copies:.3f}", "0.010"])
    return lines
