"""`tenfold generate`: draw digits with an exported model. Needs no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from digit_recognizer import rows
from tenfold.storage import atomic
from tenfold.terminal import note
from tenfold_onnx.contract import BadInput

COLUMNS: Final = 20  # digits per row of the PNG


def generate(
    labels: str,
    /,
    *,
    model: Path | None = None,
    seed: int = 0,
    out: Path = Path("digits.png"),
    no_verify: bool = False,
) -> None:
    """Draw digits, such as those of a date, as a picture or a CSV.

    It draws one digit for each digit of LABELS. A CSV has labels and pixels.

    Parameters
    ----------
    labels
        The digits to draw, such as 0123456789 or 2026.
    model
        A generator.onnx; by default the one that comes with the package.
    seed
        Integer ≥ 0; the same seed draws the same digits.
    out
        The .png or .csv to write.
    no_verify
        Use a model that another program rewrote: do not compare it with the hash in its card.
    """
    from tenfold_onnx.runtime import Generator

    if not (labels.isascii() and labels.isdigit()):
        raise BadInput(f"labels: must be digits 0..9, such as 0123456789, got {labels[:40]!r}")
    if out.suffix.lower() not in (".png", ".csv"):
        raise BadInput(f"{out}: digits are written as .png or .csv; give one of these endings")
    classes = np.array([int(digit) for digit in labels])
    images = Generator(model, verify=not no_verify).generate(classes, seed)
    if out.suffix.lower() == ".csv":
        atomic.write(out, rows.render(images, classes))
    else:
        from tenfold_onnx.images import sheet_png

        atomic.write(out, sheet_png(images, min(COLUMNS, len(images))))
    note(f"written {out}: {labels if len(labels) <= COLUMNS else f'{len(labels)} digits'}")
