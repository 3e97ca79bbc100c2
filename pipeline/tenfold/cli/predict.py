"""`tenfold predict`: read digits with an exported model. Needs no torch."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import numpy.typing as npt
from cyclopts import Parameter

from digit_recognizer.competition import TEST_ROWS
from tenfold.cli.answers import Answer, NumberAnswer, to_csv, to_json, to_submission, to_table
from tenfold.cli.reading import files_in, is_csv, open_classifier, read_digit, read_number, read_rows
from tenfold.cli.table import show_table
from tenfold.storage import atomic
from tenfold.terminal import console
from tenfold_onnx.arguments import validated_share
from tenfold_onnx.contract import NO_DIGIT, BadInput


def predict(
    inputs: list[Path],
    /,
    *,
    model: Path | None = None,
    out: Path | None = None,
    as_json: Annotated[bool, Parameter(name="--json")] = False,
    many: bool = False,
    top: int = 1,
    at_least: float = 0.0,
    threads: int | None = None,
    no_verify: bool = False,
) -> None:
    """Read the digits of CSV files, images and folders of images.

    A CSV has the columns pixel0 ... pixel783, with or without label. One CSV gives a submission (ImageId,Label).
    Anything else gives one row per digit: image, label, probability. Images that show no single digit are skipped and
    named on standard error with the reason; the exit code is then 2.

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
    many
        Read a number in each image: digits in a row that do not touch. A ? stands for what is no digit.
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
    validated_share(at_least, "at-least")
    files = [file for path in inputs for file in files_in(path)]
    if out is not None and any(out.exists() and file.samefile(out) for file in files):
        raise BadInput(f"{out}: is to be read, and would be replaced; give --out another name")
    if many and (top > 1 or any(map(is_csv, files))):
        raise BadInput("many: reads numbers in images; leave out --top, and CSVs, whose rows have one digit each")
    kinds = set(map(is_csv, files))
    classifiers = {of_csv: open_classifier(model, of_csv, threads, not no_verify) for of_csv in kinds}
    one_csv = len(files) == 1 and is_csv(files[0]) and top == 1
    if one_csv and not as_json:
        images, rows = read_rows(files[0], classifiers[True], at_least)
        for doubt in _doubts(classifiers[True].card, images, np.array([row.label for row in rows])):
            print(f"{files[0]}: {doubt}", file=sys.stderr)
        _write(to_submission(rows), out)
        return
    answers: list[Answer | NumberAnswer] = []
    refusals: list[BadInput] = []
    for path in files:
        classifier = classifiers[is_csv(path)]
        try:
            if many:
                answers.append(read_number(path, classifier, at_least))
            elif is_csv(path):
                _, rows = read_rows(path, classifier, at_least)
                answers += rows if one_csv else [replace(row, name=f"{path}:{row.name}") for row in rows]
            else:
                answers.append(read_digit(path, classifier, at_least))
        except BadInput as error:
            refusals.append(error)
    if len(refusals) == len(files) == 1:
        raise refusals[0]
    if answers and out is None and not as_json and console().is_terminal:
        header, *lines = to_table(answers, top)
        show_table(header, lines)
    elif answers:
        _write((to_json if as_json else to_csv)(answers, top), out)
    for refusal in refusals:
        print(f"skipped: {refusal}", file=sys.stderr)
    if refusals:
        raise BadInput(f"{len(refusals)} of {len(files)} files were skipped; see the lines above")


def _write(text: str, out: Path | None) -> None:
    """Write text to a file, or to standard output."""
    if out is None:
        sys.stdout.write(text)
    else:
        atomic.write(out, text.encode("utf-8", "surrogateescape"))  # a file's name may be no UTF-8


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
