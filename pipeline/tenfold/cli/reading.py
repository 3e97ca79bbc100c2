"""What `tenfold predict` reads: CSVs, images, folders of images; and which model reads them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from digit_recognizer.rows import read_csv
from tenfold.cli.answers import Answer, NumberAnswer
from tenfold_onnx.contract import CANVAS_INPUTS, CANVAS_ONNX, NO_DIGIT, BadInput, Verdict

if TYPE_CHECKING:
    from tenfold_onnx import CanvasClassifier, Classifier

IMAGE_ENDINGS: Final = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp")


def files_in(path: Path) -> list[Path]:
    """The file itself, or the images of a folder by name. Raises BadInput where there is none."""
    if path.is_dir():
        images = sorted(file for file in path.iterdir() if file.suffix.lower() in IMAGE_ENDINGS)
        if not images:
            raise BadInput(f"{path}: has no image ({', '.join(IMAGE_ENDINGS)}); give a folder of images, or a CSV")
        return images
    if not path.is_file():
        raise BadInput(f"{path}: there is no such file; give a CSV, an image, or a folder of images")
    return [path]


def is_csv(path: Path) -> bool:
    """Whether a file has rows of pixels; any other is an image."""
    return path.suffix.lower() == ".csv"


def open_classifier(
    model: Path | None, for_csv: bool, threads: int | None, verify: bool
) -> Classifier | CanvasClassifier:
    """The model in a file, of the kind that it is; without a file, the package's for CSVs or for images."""
    from tenfold_onnx.model_file import describe
    from tenfold_onnx.runtime import CanvasClassifier, Classifier

    of_drawings = not for_csv if model is None else describe(model, verify).inputs.keys() == CANVAS_INPUTS.keys()
    return (CanvasClassifier if of_drawings else Classifier)(model, threads=threads, verify=verify)


def read_rows(
    path: Path, classifier: Classifier | CanvasClassifier, at_least: float
) -> tuple[npt.NDArray[np.uint8], list[Answer]]:
    """A CSV's images uint8 (N, 28, 28), and one answer per row, named after its number from 1. Raises BadInput."""
    images, _ = read_csv(path)
    prediction = classifier.predict(images, at_least)
    rows = zip(prediction.label, prediction.probabilities, strict=True)
    return images, [Answer(str(row), int(label), probs) for row, (label, probs) in enumerate(rows, 1)]


def read_digit(path: Path, classifier: Classifier | CanvasClassifier, at_least: float) -> Answer:
    """The one digit of an image. Raises BadInput where there is none, or more than one."""
    from tenfold_onnx.images import read_drawing, read_image
    from tenfold_onnx.runtime import Classifier
    from tenfold_onnx.verdicts import in_words

    if isinstance(classifier, Classifier):
        images = classifier.predict(read_image(path), at_least)
        return Answer(str(path), int(images.label[0]), images.probabilities[0])
    drawings = classifier.predict(read_drawing(path)[None], at_least)
    verdict, parts = int(drawings.verdict[0]), int(drawings.parts[0])
    if verdict:
        more = "; --many reads a number" if verdict == Verdict.SEVERAL else ""
        raise BadInput(f"{path}: {in_words(verdict, parts)}{more}")
    return Answer(str(path), int(drawings.label[0]), drawings.probabilities[0])


def read_number(path: Path, classifier: Classifier | CanvasClassifier, at_least: float) -> NumberAnswer:
    """The digits in a row of an image. Raises BadInput where there is none, and for a model of 28x28 images."""
    from tenfold_onnx import number
    from tenfold_onnx.images import read_drawing
    from tenfold_onnx.runtime import Classifier

    if isinstance(classifier, Classifier):
        raise BadInput(
            f"{classifier.path}: finds no digits in a picture; give a {CANVAS_ONNX} to --many, or no --model"
        )
    digits = number.read_number(classifier, read_drawing(path))
    if 2 * sum(digit.label != NO_DIGIT for digit in digits) < max(1, len(digits)):
        raise BadInput(f"{path}: shows no number; give an image of digits in a row, large enough, that do not touch")
    unsure = [digit._replace(label=NO_DIGIT) if digit.probability < at_least else digit for digit in digits]
    return NumberAnswer(str(path), unsure)
