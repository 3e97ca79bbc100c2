"""`tenfold predict`: read digits with an exported model. Needs no torch."""

from __future__ import annotations

import csv
import io
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import numpy as np
import numpy.typing as npt
from cyclopts import Parameter

from digit_recognizer.rows import read_csv
from tenfold.storage import atomic
from tenfold_onnx.contract import BadInput

PICTURES: Final = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp")


@dataclass(frozen=True)
class Answer:
    """What is said of one digit."""

    name: str
    label: int
    probabilities: npt.NDArray[np.float32]  # (10,)


def predict(
    inputs: list[Path],
    /,
    *,
    model: Path = Path("classifier.onnx"),
    out: Path | None = None,
    as_json: Annotated[bool, Parameter(name="--json")] = False,
    top: int = 1,
    at_least: float = 0.0,
    threads: int | None = None,
) -> None:
    """Read the digits of CSV files (pixel0 ... pixel783, with or without label), image files and folders of them.

    One CSV gives a submission (ImageId,Label); anything else a line a digit: where from, label, probability.
    An image among several that shows no digit is left out, named on standard error, and the exit code is 2.

    Parameters
    ----------
    inputs
        CSV files, images of one digit each (PNG, JPEG and the like), or folders of images.
    model
        A classifier.onnx.
    out
        Where to write; standard output unless given.
    as_json
        One JSON object a digit, with all ten probabilities.
    top
        That many of the likeliest digits, each with its probability.
    at_least
        Label -1 where the likeliest digit has a smaller probability than this.
    threads
        Processor cores to use; all unless given.
    """
    from tenfold_onnx.runtime import Classifier

    if not 1 <= top <= 10:
        raise BadInput(f"top: is {top} where a whole number from 1 to 10 belongs")
    files = [file for path in inputs for file in _files(path)]
    classifier = Classifier(model, threads=threads)
    submission = len(files) == 1 and files[0].suffix.lower() == ".csv" and top == 1
    answers: list[Answer] = []
    left_out: list[BadInput] = []
    for path in files:
        try:
            images, names = _digits(path, submission)
        except BadInput as reason:
            left_out.append(reason)
            continue
        said = classifier.predict(images, at_least)
        triples = zip(names, said.label, said.probabilities, strict=True)
        answers += [Answer(name, int(label), p) for name, label, p in triples]
    if len(left_out) == len(files) == 1:
        raise left_out[0]
    if answers or not left_out:  # a CSV may hold no digit, which is an answer
        text = _as_json(answers, top) if as_json else _as_csv(answers, submission, top)
        if out is None:
            sys.stdout.write(text)
        else:
            atomic.write(out, text.encode())
    for refused in left_out:
        print(f"left out: {refused}", file=sys.stderr)
    if left_out:
        raise BadInput(f"{len(left_out)} of {len(files)} files hold no digit that can be read; see the lines above")


def _digits(path: Path, submission: bool) -> tuple[npt.NDArray[np.uint8], list[str]]:
    """A file's digits, uint8 (N, 28, 28), and what each is called. Raises BadInput where a picture shows none."""
    if path.suffix.lower() == ".csv":
        images, _ = read_csv(path)
        return images, [str(number) if submission else f"{path}:{number}" for number in range(1, len(images) + 1)]
    from tenfold_onnx.images import read_image

    return read_image(path)[None], [str(path)]


def _files(path: Path) -> list[Path]:
    """The file itself, or the pictures of a folder by name. Raises BadInput where there is none."""
    if path.is_dir():
        pictures = sorted(file for file in path.iterdir() if file.suffix.lower() in PICTURES)
        if not pictures:
            raise BadInput(f"{path}: holds no picture ({', '.join(PICTURES)}); give a folder of pictures, or a CSV")
        return pictures
    if not path.is_file():
        raise BadInput(f"{path}: there is no such file; give a CSV, a picture, or a folder of pictures")
    return [path]


def _likeliest(answer: Answer, top: int) -> list[tuple[int, float]]:
    order = np.argsort(-answer.probabilities, kind="stable")[:top]
    return [(int(label), float(answer.probabilities[label])) for label in order]


def _as_json(answers: list[Answer], top: int) -> str:
    def line(answer: Answer) -> str:
        known: dict[str, object] = {
            "image": answer.name,
            "label": answer.label,
            "probabilities": [round(float(p), 6) for p in answer.probabilities],
        }
        if top > 1:
            known["top"] = [[label, round(p, 6)] for label, p in _likeliest(answer, top)]
        return json.dumps(known) + "\n"

    return "".join(line(answer) for answer in answers)


def _as_csv(answers: list[Answer], submission: bool, top: int) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    if submission:
        writer.writerows([("ImageId", "Label"), *((answer.name, answer.label) for answer in answers)])
        return out.getvalue()
    numbers = [""] if top == 1 else [str(place) for place in range(1, top + 1)]
    writer.writerow(["Image", *(f"{name}{number}" for number in numbers for name in ("Label", "Probability"))])
    for answer in answers:
        (_, p), *others = _likeliest(answer, top)
        cells = [(answer.label, p), *others]  # the first may be rejected
        writer.writerow([answer.name, *(cell for label, p in cells for cell in (label, f"{p:.4f}"))])
    return out.getvalue()
