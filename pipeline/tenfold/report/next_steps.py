"""What to do with a finished run: commands to paste."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

from tenfold.settings import Source
from tenfold_onnx.contract import CLASSIFIER_ONNX, GENERATOR_ONNX


@dataclass(frozen=True)
class NextStep:
    """One command and what it is for."""

    purpose: str
    command: str


def next_steps(run: Path, source: Source, honest: bool) -> list[NextStep]:
    """The commands for the run folder `run`, the most useful first, quoted for a shell.

    Kaggle takes only the submission of a run on its files, and a leaked one means nothing there.
    """
    first = []
    if source != "kaggle":
        first = [NextStep("Train on Kaggle's digits, for a submission", "tenfold run --source kaggle")]
    elif honest:
        first = [NextStep("Submit to Kaggle and wait for the score", _command("submit", run))]
    return [
        *first,
        NextStep("Draw digits and watch them being read", _command("app", run)),
        NextStep("Read an image of a digit", _command("predict", "seven.png", "--model", run / CLASSIFIER_ONNX)),
        NextStep("Generate digits", _command("generate", "2026", "--model", run / GENERATOR_ONNX)),
        NextStep("Compare with another run", _command("compare", run, "another-run")),
    ]


def _command(name: str, *arguments: str | Path) -> str:
    return shlex.join(["tenfold", name, *map(str, arguments)])
