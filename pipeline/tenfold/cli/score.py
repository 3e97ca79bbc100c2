"""`tenfold score`: judge a submission offline."""

from __future__ import annotations

from pathlib import Path

from tenfold.settings import Data


def score(submission: Path, /, *, data: Data | None = None) -> None:
    """Judge a submission offline on every test row, with the labels that MNIST carries for them.

    Parameters
    ----------
    submission
        A submission.csv.
    """
    from digit_recognizer.submission import read
    from tenfold.evaluation import judge
    from tenfold.sources.load import load_sources, reference_digits, resolve_source

    labels = read(submission)
    settled, line = resolve_source(data or Data())
    print(line)
    test = load_sources(settled).test
    print(judge.judged(labels, judge.answer_key(test, reference_digits(settled))).sentence())
