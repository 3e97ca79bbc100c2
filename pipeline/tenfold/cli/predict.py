"""`tenfold predict`: read digits with an exported model. Needs no torch."""

from __future__ import annotations

import csv
import io
import json
import sys
from pathlib import Path
from typing import Annotated

import numpy as np
from cyclopts import Parameter

from digit_recognizer.rows import read_csv
from tenfold import atomic
from tenfold_onnx.contract import BadInput


def predict(
    inputs: list[Path],
    /,
    *,
    model: Path = Path("classifier.onnx"),
    out: Path | None = None,
    as_json: Annotated[bool, Parameter(name="--json")] = False,
    threads: int | None = None,
) -> None:
    """Read the digits of CSV files (pixel0 ... pixel783, with or without label) and image files.

    One CSV gives a submission (ImageId,Label); anything else a line a digit: where from, label, probability.

    Parameters
    ----------
    inputs
        CSV files, or PNG and JPEG files of one digit each.
    model
        A classifier.onnx.
    out
        Where to write; standard output unless given.
    as_json
        One JSON object a digit, with all ten probabilities.
    threads
        Processor cores to use; all unless given.
    """
    from tenfold_onnx.runtime import Classifier

    for path in inputs:
        if not path.is_file():
            found = "is a folder" if path.is_dir() else "there is no such file"
            raise BadInput(f"{path}: {found}; give a CSV or an image")
    classifier = Classifier(model, threads=threads)
    submission = len(inputs) == 1 and inputs[0].suffix.lower() == ".csv"
    rows: list[tuple[str, int, np.ndarray]] = []  # type: ignore[type-arg]
    for path in inputs:
        if path.suffix.lower() == ".csv":
            images, _ = read_csv(path)
            names = [str(number) if submission else f"{path}:{number}" for number in range(1, len(images) + 1)]
        else:
            from tenfold_onnx.images import read_image

            images, names = read_image(path)[None], [str(path)]
        said = classifier.predict(images)
        rows += [(name, int(label), p) for name, label, p in zip(names, said.label, said.probabilities, strict=True)]
    text = _as_json(rows) if as_json else _as_csv(rows, submission)
    if out is None:
        sys.stdout.write(text)
    else:
        atomic.write(out, text.encode())


def _as_json(rows: list[tuple[str, int, np.ndarray]]) -> str:  # type: ignore[type-arg]
    return "".join(
        json.dumps({"image": name, "label": label, "probabilities": [round(float(p), 6) for p in probabilities]}) + "\n"
        for name, label, probabilities in rows
    )


def _as_csv(rows: list[tuple[str, int, np.ndarray]], submission: bool) -> str:  # type: ignore[type-arg]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(("ImageId", "Label") if submission else ("Image", "Label", "Probability"))
    for name, label, probabilities in rows:
        writer.writerow((name, label) if submission else (name, label, f"{probabilities[label]:.4f}"))
    return out.getvalue()
