"""`tenfold blend`: average several runs."""

from __future__ import annotations

from pathlib import Path


def blend(run: Path, /, *runs: Path, out: Path = Path("runs/blend")) -> None:
    """Average the probabilities of finished runs on the same digits into one submission, and cross-validate it.

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
        print(sentence)
    print(f"written to {out}: submission.csv, probabilities, metrics.json")
