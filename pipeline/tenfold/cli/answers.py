"""Labels and probabilities of digits, as the lines that `tenfold predict` writes."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from tenfold_onnx.number import Digit


@dataclass(frozen=True)
class Answer:
    """The model's output for one digit."""

    name: str
    label: int
    probabilities: npt.NDArray[np.float32]  # (10,)

    def most_likely(self, top: int) -> list[tuple[int, float]]:
        """The `top` most likely digits with their probabilities, the most likely first."""
        order = np.argsort(-self.probabilities, kind="stable")[:top]
        return [(int(label), float(self.probabilities[label])) for label in order]

    @staticmethod
    def header(top: int) -> list[str]:
        """Names of the columns of `cells`."""
        ranks = [""] if top == 1 else [str(rank) for rank in range(1, top + 1)]
        return ["Image", *(f"{name}{rank}" for rank in ranks for name in ("Label", "Probability"))]

    def cells(self, top: int) -> list[str]:
        """The image, then the most likely digits with their probabilities."""
        (_, p), *others = self.most_likely(top)
        digits = [(self.label, p), *others]  # the answer's own label, which is -1 below `at_least`
        return [self.name, *(cell for label, p in digits for cell in (str(label), f"{p:.4f}"))]

    def fields(self, top: int) -> dict[str, Any]:
        """The same for JSON, with all ten probabilities."""
        fields: dict[str, Any] = {
            "image": self.name,
            "label": self.label,
            "probabilities": [round(float(p), 6) for p in self.probabilities],
        }
        if top > 1:
            fields["top"] = [[label, round(p, 6)] for label, p in self.most_likely(top)]
        return fields


@dataclass(frozen=True)
class NumberAnswer:
    """The digits that were read in one image, from left to right."""

    name: str
    digits: Sequence[Digit]

    @property
    def number(self) -> str:
        """The digits as text, with a ? for each that is none."""
        return "".join("?" if digit.label < 0 else str(digit.label) for digit in self.digits)

    @property
    def probability(self) -> float:
        """Of all digits together."""
        return math.prod(digit.probability for digit in self.digits)

    @staticmethod
    def header(top: int) -> list[str]:
        """Names of the columns of `cells`."""
        return ["Image", "Number", "Probability"]

    def cells(self, top: int) -> list[str]:
        """The image, the number, and the probability of all of it."""
        return [self.name, self.number, f"{self.probability:.4f}"]

    def fields(self, top: int) -> dict[str, Any]:
        """The same for JSON, with each digit and its box in pixels: left, top, right, bottom."""
        return {
            "image": self.name,
            "number": self.number,
            "probability": round(self.probability, 6),
            "digits": [
                {"label": digit.label, "probability": round(digit.probability, 6), "box": list(digit.box)}
                for digit in self.digits
            ],
        }


Answers = Sequence[Answer | NumberAnswer]


def to_json(answers: Answers, top: int) -> str:
    """One JSON object per line and answer."""
    return "".join(json.dumps(answer.fields(top)) + "\n" for answer in answers)


def to_submission(answers: Sequence[Answer]) -> str:
    """A file that Kaggle takes."""
    return _csv([["ImageId", "Label"], *([answer.name, str(answer.label)] for answer in answers)])


def to_csv(answers: Answers, top: int) -> str:
    """The table of `to_table`."""
    return _csv(to_table(answers, top))


def to_table(answers: Answers, top: int) -> list[list[str]]:
    """A table of answers, at least one, header first."""
    return [answers[0].header(top), *(answer.cells(top) for answer in answers)]


def _csv(lines: list[list[str]]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(lines)
    return out.getvalue()
