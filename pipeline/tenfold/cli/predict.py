"""`tenfold predict`: read digits with an exported model. Needs no torch."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import numpy as np
import numpy.typing as npt
from cyclopts import Parameter

from digit_recognizer.competition import TEST_ROWS
from digit_recognizer.rows import read_csv
from tenfold.cli.answers import Answer, to_csv, to_json, to_table
from tenfold.cli.table import show_table
from tenfold.storage import atomic
from tenfold.terminal import console
from tenfold_onnx.contract import CANVAS_INPUTS, NO_DIGIT, BadInput

if TYPE_CHECKING:
    from tenfold_onnx import CanvasClassifier, Classifier

IMAGE_ENDINGS: Final = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp")


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
        A classifier.onnx, classifier_light.onnx or classifier_canvas.onnx. By default those that come with the
        package: the canvas model for images, the light one for CSVs.
    out
        File to write; standard output by default.
    as_json
        Write one JSON object per digit, with all ten probabilities.
    top
        How many of the most likely digits to write, 1 to 10, each with its probability.
    at_least
        Give label -1 where the most likely digit's probability is below this. The canvas model gives it also to rows
        of a CSV that show no digit.
    threads
        Processor cores to use; all by default.
    no_verify
        Use a model that another program rewrote: do not compare it with the hash in its card.
    """
    if not 1 <= top <= 10:
        raise BadInput(f"top: must be an integer from 1 to 10, got {top}")
    files = [file for path in inputs for file in _files(path)]
    classifiers = {is_csv: _classifier(model, is_csv, threads, not no_verify) for is_csv in set(map(_is_csv, files))}
    as_submission = len(files) == 1 and _is_csv(files[0]) and top == 1
    answers: list[Answer] = []
    refusals: list[BadInput] = []
    for path in files:
        classifier = classifiers[_is_csv(path)]
        try:
            images, names = _digits(path, classifier, as_submission)
        except BadInput as error:
            refusals.append(error)
            continue
        prediction = classifier.predict(images, at_least)
        if not _is_csv(path) and np.ptp(prediction.probabilities) == 0:  # as the canvas model answers without a digit
            refusals.append(BadInput(f"{path}: shows no digit; give an image of one digit"))
            continue
        if as_submission:
            for doubt in _doubts(classifier.card, images, prediction.label):
                print(f"{path}: {doubt}", file=sys.stderr)
        digits = zip(names, prediction.label, prediction.probabilities, strict=True)
        answers += [Answer(name, int(label), probabilities) for name, label, probabilities in digits]
    if len(refusals) == len(files) == 1:
        raise refusals[0]
    if answers and out is None and not (as_json or as_submission) and console().is_terminal:
        header, *lines = to_table(answers, top)
        show_table(header, lines)
    elif answers:
        text = to_json(answers, top) if as_json else to_csv(answers, as_submission, top)
        if out is None:
            sys.stdout.write(text)
        else:
            atomic.write(out, text.encode())
    for refusal in refusals:
        print(f"skipped: {refusal}", file=sys.stderr)
    if refusals:
        raise BadInput(f"{len(refusals)} of {len(files)} files were skipped; see the lines above")


def _classifier(model: Path | None, is_csv: bool, threads: int | None, verify: bool) -> Classifier | CanvasClassifier:
    """The model in a file, of the kind that it is; without a file, the package's for CSVs or for images."""
    from tenfold_onnx.model_file import describe
    from tenfold_onnx.runtime import CanvasClassifier, Classifier

    of_drawings = not is_csv if model is None else describe(model, verify).inputs.keys() == CANVAS_INPUTS.keys()
    return (CanvasClassifier if of_drawings else Classifier)(model, threads=threads, verify=verify)


def _doubts(card: Mapping[str, str], images: npt.NDArray[np.uint8], labels: npt.NDArray[np.int64]) -> list[str]:
    """Why a submission cannot be sent, or its score would mean nothing, as the card of its model says."""
    doubts = []
    if not card.get("honest", "yes").startswith("yes"):
        doubts.append("LEAKED: the model was trained on test images with their labels, so a score means nothing")
    else:
        test_sha256 = card.get("test_sha256")
        if len(images) == TEST_ROWS and test_sha256 and test_sha256 != hashlib.sha256(images.tobytes()).hexdigest():
            doubts.append(
                "perhaps LEAKED: the model's run kept other test images apart, and may have trained on these; train on "
                "the competition's files (`tenfold run --source kaggle`) to submit"
            )
    if unread := int((labels == NO_DIGIT).sum()):
        doubts.append(
            f"{unread:,} of {len(labels):,} rows have label -1, so this cannot be submitted; without --at-least, "
            "classifier.onnx labels each row 0..9"
        )
    return doubts


def _digits(
    path: Path, classifier: Classifier | CanvasClassifier, as_submission: bool
) -> tuple[npt.NDArray[np.uint8], list[str]]:
    """A file's digits as the classifier takes them, uint8 (N, H, W), and their names. Raises BadInput."""
    if _is_csv(path):
        images, _ = read_csv(path)
        return images, [str(row) if as_submission else f"{path}:{row}" for row in range(1, len(images) + 1)]
    from tenfold_onnx.images import read_drawing, read_image

    read = read_drawing if classifier.inputs == CANVAS_INPUTS else read_image
    return read(path)[None], [str(path)]


def _is_csv(path: Path) -> bool:
    return path.suffix.lower() == ".csv"


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
