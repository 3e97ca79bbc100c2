"""`tenfold predict`: read digits with an exported model. Needs no torch."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import numpy as np
import numpy.typing as npt
from cyclopts import Parameter

from digit_recognizer.competition import TEST_ROWS
from digit_recognizer.rows import read_csv
from tenfold.cli.table import show_table
from tenfold.storage import atomic
from tenfold.terminal import console
from tenfold_onnx.contract import BadInput

IMAGE_ENDINGS: Final = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp")


@dataclass(frozen=True)
class Answer:
    """The model's output for one digit."""

    name: str
    label: int
    probabilities: npt.NDArray[np.float32]  # (10,)


def predict(
    inputs: list[Path],
    /,
    *,
    model: Path | None = None,
    out: Path | None = None,
    as_json: Annotated[bool, Parameter(name="--json")] = False,
    top: int = 1,
    at_least: float = 0.0,
    threads: int | None = None,
    no_verify: bool = False,
) -> None:
    """Read the digits of CSV files, images and folders of images.

    A CSV has the columns pixel0 ... pixel783, with or without label. One CSV gives a submission (ImageId,Label).
    Anything else gives one row per digit: image, label, probability. Images without a digit are skipped and named on
    standard error; the exit code is then 2.

    Parameters
    ----------
    inputs
        CSV files, images of one digit each (PNG, JPEG and the like), or folders of images.
    model
        A classifier.onnx; by default the light one that comes with the package.
    out
        File to write; standard output by default.
    as_json
        Write one JSON object per digit, with all ten probabilities.
    top
        How many of the most likely digits to write, 1 to 10, each with its probability.
    at_least
        Give label -1 where the most likely digit's probability is below this.
    threads
        Processor cores to use; all by default.
    no_verify
        Use a model that another program rewrote: do not compare it with the hash in its card.
    """
    from tenfold_onnx.runtime import Classifier

    if not 1 <= top <= 10:
        raise BadInput(f"top: must be an integer from 1 to 10, got {top}")
    files = [file for path in inputs for file in _files(path)]
    classifier = Classifier(model, threads=threads, verify=not no_verify)
    as_submission = len(files) == 1 and files[0].suffix.lower() == ".csv" and top == 1
    answers: list[Answer] = []
    refusals: list[BadInput] = []
    for path in files:
        try:
            images, names = _digits(path, as_submission)
        except BadInput as error:
            refusals.append(error)
            continue
        prediction = classifier.predict(images, at_least)
        if as_submission and (doubt := _doubt(classifier.card, images)):
            print(f"{path}: {doubt}", file=sys.stderr)
        digits = zip(names, prediction.label, prediction.probabilities, strict=True)
        answers += [Answer(name, int(label), probabilities) for name, label, probabilities in digits]
    if len(refusals) == len(files) == 1:
        raise refusals[0]
    if answers and out is None and not (as_json or as_submission) and console().is_terminal:
        header, *lines = _lines(answers, top)
        show_table(header, lines)
    elif answers:
        text = _as_json(answers, top) if as_json else _as_csv(answers, as_submission, top)
        if out is None:
            sys.stdout.write(text)
        else:
            atomic.write(out, text.encode())
    for refusal in refusals:
        print(f"skipped: {refusal}", file=sys.stderr)
    if refusals:
        raise BadInput(f"{len(refusals)} of {len(files)} files were skipped; see the lines above")


def _doubt(card: Mapping[str, str], images: npt.NDArray[np.uint8]) -> str | None:
    """Why the score of a submission would mean nothing, as the card of its model says; None where it is honest."""
    if not card.get("honest", "yes").startswith("yes"):
        return "LEAKED: the model was trained on test images with their labels, so a score means nothing"
    test_sha256 = card.get("test_sha256")
    if len(images) == TEST_ROWS and test_sha256 and test_sha256 != hashlib.sha256(images.tobytes()).hexdigest():
        return (
            "perhaps LEAKED: the model's run kept other test images apart, and may have trained on these; train on "
            "the competition's files (`tenfold run --source kaggle`) to submit"
        )
    return None


def _digits(path: Path, as_submission: bool) -> tuple[npt.NDArray[np.uint8], list[str]]:
    """A file's digits, uint8 (N, 28, 28), and their names. Raises BadInput for an image without a digit."""
    if path.suffix.lower() == ".csv":
        images, _ = read_csv(path)
        return images, [str(row) if as_submission else f"{path}:{row}" for row in range(1, len(images) + 1)]
    from tenfold_onnx.images import read_image

    return read_image(path)[None], [str(path)]


def _files(path: Path) -> list[Path]:
    """The file itself, or the images of a folder by name. Raises BadInput where there is none."""
    if path.is_dir():
        images = sorted(file for file in path.iterdir() if file.suffix.lower() in IMAGE_ENDINGS)
        if not images:
            raise BadInput(f"{path}: has no image ({', '.join(IMAGE_ENDINGS)}); give a folder of images, or a CSV")
        return images
    if not path.is_file():
        raise BadInput(f"{path}: there is no such file; give a CSV, an image, or a folder of images")
    return [path]


def _most_likely(answer: Answer, top: int) -> list[tuple[int, float]]:
    order = np.argsort(-answer.probabilities, kind="stable")[:top]
    return [(int(label), float(answer.probabilities[label])) for label in order]


def _as_json(answers: list[Answer], top: int) -> str:
    def line(answer: Answer) -> str:
        fields: dict[str, object] = {
            "image": answer.name,
            "label": answer.label,
            "probabilities": [round(float(p), 6) for p in answer.probabilities],
        }
        if top > 1:
            fields["top"] = [[label, round(p, 6)] for label, p in _most_likely(answer, top)]
        return json.dumps(fields) + "\n"

    return "".join(line(answer) for answer in answers)


def _as_csv(answers: list[Answer], as_submission: bool, top: int) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    if as_submission:
        writer.writerows([("ImageId", "Label"), *((answer.name, answer.label) for answer in answers)])
    else:
        writer.writerows(_lines(answers, top))
    return out.getvalue()


def _lines(answers: list[Answer], top: int) -> list[list[str]]:
    """A table of answers, header first: for each the image, then the most likely digits with their probabilities."""
    ranks = [""] if top == 1 else [str(rank) for rank in range(1, top + 1)]
    lines = [["Image", *(f"{name}{rank}" for rank in ranks for name in ("Label", "Probability"))]]
    for answer in answers:
        (_, p), *others = _most_likely(answer, top)
        cells = [(answer.label, p), *others]  # the answer's own label, which is -1 below `at_least`
        lines.append([answer.name, *(cell for label, p in cells for cell in (str(label), f"{p:.4f}"))])
    return lines
