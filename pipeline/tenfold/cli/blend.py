"""`tenfold blend`: average several runs."""

from __future__ import annotations

from pathlib import Path

from tenfold.cli.summary import command, show_next
from tenfold.terminal import note, result


def blend(run: Path, /, *runs: Path, out: Path = Path("runs/blend")) -> None:
    """Average several runs into one submission, and cross-validate it.

    It averages their probabilities; the runs must be finished, and on the same digits.

    Parameters
    ----------
    run
        The folder of a run, or of a blend.
    runs
        More runs on the same files; folds, seeds and nets may differ.
    out
        An empty folder for submission.csv, probabilities and metrics.json; `tenfold submit` takes it.
    """
    from tenfold.evaluation.blend import blend as average

    for sentence in average([run, *runs], out).sentences():
        result(sentence)
    note(f"written to {out}: submission.csv, probabilities, metrics.json")
    show_next([(command("submit", out), "upload submission.csv to Kaggle")])
