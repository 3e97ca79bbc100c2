"""How far a smaller or fixed form of a model is from the model itself, measured on digits."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from tenfold_onnx.write.examples import Inputs, batches, example_inputs
from tenfold_onnx.write.parity import ParityError

LEAST_EQUAL: Final = 0.97  # share of equal labels
MAX_GREY: Final = 3  # of 255, by any pixel of a generated image


class Agreement(NamedTuple):
    """What two forms of a model answer to the same inputs."""

    rows: int
    equal_labels: int | None  # None for a generator
    difference: float  # the largest one: of probabilities, or of grey levels 0..255

    def sentence(self) -> str:
        """For the card and the terminal."""
        if self.equal_labels is None:
            return f"{self.rows:,} generated images differ by at most {self.difference:.0f} of 255 grey levels"
        return (
            f"{self.equal_labels:,} of {self.rows:,} labels are equal, "
            f"probabilities differ by at most {self.difference:.2g}"
        )


def compare(model: bytes, other: bytes, digits: npt.NDArray[np.uint8], max_difference: float) -> Agreement:
    """Compare two forms of a model on the `example_inputs` from `digits`, images uint8 (N, 28, 28).

    `other` may fix its sizes. Raises ParityError where fewer than LEAST_EQUAL of the labels are equal, probabilities
    differ by more than `max_difference`, or grey levels by more than MAX_GREY.
    """
    sessions = [ort.InferenceSession(form, providers=["CPUExecutionProvider"]) for form in (model, other)]
    inputs = example_inputs(sessions[0], digits)
    before, after = (_answers(session, inputs) for session in sessions)
    if "images" in before:
        difference = np.abs(before["images"].astype(int) - after["images"].astype(int)).max()
        agreement = Agreement(len(before["images"]), None, float(difference))
        close = difference <= MAX_GREY
    else:
        equal_labels = int((before["label"] == after["label"]).sum())
        difference = np.abs(before["probabilities"] - after["probabilities"]).max()
        agreement = Agreement(len(digits), equal_labels, float(difference))
        close = difference <= max_difference and equal_labels >= LEAST_EQUAL * len(digits)  # false for NaN
    if not close:
        raise ParityError(agreement.sentence())
    return agreement


def _answers(session: ort.InferenceSession, inputs: Inputs) -> dict[str, npt.NDArray[Any]]:
    """Every output, of as many rows as the inputs."""
    names = [output.name for output in session.get_outputs()]
    parts = [session.run(names, batch) for batch in batches(session, inputs)]
    rows = len(next(iter(inputs.values())))
    return {name: np.concatenate(column)[:rows] for name, column in zip(names, zip(*parts, strict=True), strict=True)}
