"""`tenfold gan`: the generator by itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from cyclopts import App

from digit_recognizer import rows
from tenfold.errors import BadInput
from tenfold.presets import Preset
from tenfold.settings import Settings
from tenfold.storage import atomic

MOST_DRAWN: Final = 1_000_000

gan = App(name="gan", help="Fit, score and draw from the generator by itself.", help_format="plaintext")


@gan.command
def fit(
    *,
    settings: Settings | None = None,
    preset: Preset = "fast",
    config: Path | None = None,
    out: Path | None = None,
    fresh: bool = False,
) -> None:
    """Fit the generator that ships on all training digits, and export it.

    The same command again continues. It is one training, so all cores work on it unless --workers says else;
    `tenfold run --workers 1` with the same settings and --out does the rest of a run.

    Parameters
    ----------
    preset
        Ready-made settings, as of `tenfold run`. Other options override it.
    config
        TOML file of settings; overrides the preset, options override both.
    out
        The folder; runs/SOURCE-gan unless given.
    fresh
        Empty the folder first.
    """
    from tenfold.run import resolve
    from tenfold.run_generator import fit as carry_out

    wanted = settings or Settings()
    asked, line = resolve(replace(wanted, compute=replace(wanted.compute, workers=wanted.compute.workers or 1)))
    print(line)
    carry_out(asked, out or Path("runs") / f"{asked.data.source}-gan", fresh)


@gan.command
def score(run: Path, /, *, seeds: int = 3) -> None:
    """Score a generator: what nets make of its digits, how they lie among real ones, and whether it copies.

    Writes generator.json into the folder. What that needs is fitted there first: the light net, and for the
    classification accuracy score (CAS) nets that learn from 42,000 generated digits alone.

    Parameters
    ----------
    run
        The folder of a run or of `tenfold gan fit`.
    seeds
        Nets for the CAS; 0 leaves it out.
    """
    if not 0 <= seeds <= 100:
        raise BadInput(f"seeds: is {seeds} where a whole number from 0 to 100 belongs")
    from tenfold.run_generator import SCORE
    from tenfold.run_generator import score as carry_out

    print(_quality_table(carry_out(run, seeds)))
    print(f"written: {run / SCORE}")


@gan.command
def sample(
    model: Path = Path("generator.onnx"), /, *, digits: int = 1000, seed: int = 0, out: Path = Path("generated.csv")
) -> None:
    """Draw a balanced set of labelled digits, as Kaggle's train.csv or as a folder of PNG files. Needs no torch.

    Parameters
    ----------
    model
        A generator.onnx.
    digits
        How many: as many of each digit, the first ones one more where ten does not divide it.
    seed
        The same seed draws the same digits.
    out
        A .csv, or a new folder, which gets a folder a digit: 0/00000.png and so on.
    """
    from tenfold_onnx.runtime import Generator

    if not 1 <= digits <= MOST_DRAWN:
        raise BadInput(f"digits: is {digits} where a whole number from 1 to {MOST_DRAWN:,} belongs")
    labels = np.arange(digits) % 10
    as_csv = out.suffix.lower() == ".csv"
    if not as_csv and out.suffix:
        raise BadInput(f"{out}: digits are written as .csv or into a folder; give a name with no other ending")
    if not as_csv and out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise BadInput(f"{out}: is not empty; give another --out")
    images = Generator(model).generate(labels, seed)
    if as_csv:
        atomic.write(out, rows.render(images, labels))
    else:
        from tenfold_onnx.images import sheet_png

        named = enumerate(zip(images, labels.tolist(), strict=True))
        files = ((f"{label}/{place:05}.png", sheet_png(image[None], 1, gap=0)) for place, (image, label) in named)
        atomic.write_folder(out, files)
    print(f"{out} is written: {digits:,} digits")


def _quality_table(scores: Mapping[str, Any]) -> str:
    """A Quality as plain values, with "cas", the scores of nets that learnt from generated digits, as Markdown."""
    from tenfold.report.markdown import markdown

    lines = [["read as what was asked for", f"{scores['agreement_mean']:.4f}", ""]]
    if scores["cas"]:
        mean, std = np.mean(scores["cas"]), np.std(scores["cas"], ddof=1) if len(scores["cas"]) > 1 else 0.0
        lines.insert(0, [f"CAS, {len(scores['cas'])} nets", f"{mean:.4f} ± {std:.4f}", ""])
    lines.append(["Fréchet distance", f"{scores['frechet']:.3f}", f"{scores['frechet_floor']:.3f}"])
    lines += [
        [name, f"{scores['manifold'][name]:.3f}", f"{scores['manifold_floor'][name]:.3f}"]
        for name in ("precision", "recall", "density", "coverage")
    ]
    near = [f"{scores[name]:.2f}" for name in ("nearest_px", "nearest_floor_px")]
    lines.append(["distance to the nearest training digit", *near])
    lines.append(["nearer than 99 % of unseen real ones", f"{scores['copies']:.3f}", "0.010"])
    return markdown([f"of {scores['digits']:,} digits", "generated", "real, unseen"], lines)
