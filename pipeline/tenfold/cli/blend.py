"""`tenfold blend`: several runs as one."""

from __future__ import annotations

from pathlib import Path


def blend(run: Path, /, *runs: Path, out: Path = Path("runs/blend")) -> None:
    """Average the probabilities of finished runs on the same digits into one submission, with its own CV.

    Parameters
    ----------
    run
        The folder of a run, or of a blend.
    runs
        Further ones, on the same files; folds, seeds and nets may differ.
    out
        An empty folder for submission.csv, probabilities and metrics.json; `tenfold submit` takes it.
    """
    from tenfold.evaluation.blend import blend as average
    from tenfold.evaluation.cross_validation import CrossValidation
    from tenfold.evaluation.judge import Verdict

    metrics = average([run, *runs], out)
    print(CrossValidation(**metrics["cross_validation"]).sentence())
    if metrics["judge"]:
        print(Verdict(**metrics["judge"]).sentence())
    if not metrics["honest"]:
        print("LEAKED: one of these runs was allowed to train on test images; no score of theirs counts")
    print(f"written in {out}: submission.csv, probabilities, metrics.json")
