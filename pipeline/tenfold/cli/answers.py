"""Labels and probabilities of digits, as the lines that `tenfold predict` writes."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


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


def to_json(answers: list[Answer], top: int) -> str:
    """One JSON object per line and answer."""

    def line(answer: Answer) -> str:
        fields: dict[str, object] = {
            "image": answer.name,
            "label": answer.label,
            "probabilities": [round(float(p), 6) for p in answer.probabilities],
        }
        if top > 1:
            fields["top"] = [[label, round(p, 6)] for label, p in answer.most_likely(top)]
        return json.dumps(fields) + "\n"

    return "".join(line(answer) for answer in answers)


def to_csv(answers: list[Answer], as_submission: bool, top: int) -> str:
    """A submission, or the table of `to_table`."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    if as_submission:
        writer.writerows([("ImageId", "Label"), *((answer.name, answer.label) for answer in answers)])
    else:
        writer.writerows(to_table(answers, top))
    return out.getvalue()


def to_table(answers: list[Answer], top: int) -> list[list[str]]:
    """A table of answers, header first: for each the image, then the most likely digits with their probabilities."""
    ranks = [""] if top == 1 else [str(rank) for rank in range(1, top + 1)]
    table = [["Image", *(f"{name}{rank}" for rank in ranks for name in ("Label", "Probability"))]]
    for answer in answers:
        (_, p), *others = answer.most_likely(top)
        cells = [(answer.label, p), *others]  # the answer's own label, which is -1 below `at_least`
        table.append([answer.name, *(cell for label, p in cells for cell in (str(label), f"{p:.4f}"))])
    return table
