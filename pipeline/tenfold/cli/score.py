"""`tenfold score`: score a submission offline."""

from __future__ import annotations

from pathlib import Path

from tenfold.settings import Data
from tenfold.terminal import note, result


def score(submission: Path, /, *, data: Data | None = None) -> None:
    """Score a submission offline, on every test row.

    MNIST has the labels of all of them. Where the submission lies in a run's folder, --source and --data are that
    run's by default.

    Parameters
    ----------
    submission
        A submission.csv, or the folder of the run that wrote it.
    """
    from digit_recognizer.submission import read
    from tenfold.evaluation import judge
    from tenfold.sources.load import load_sources, reference_digits, resolve_source
    from tenfold.storage.run_contents import is_marked
    from tenfold.storage.run_folder import SUBMISSION, RunFolder

    file = submission / SUBMISSION if submission.is_dir() else submission
    predicted = read(file)
    if data is None and is_marked(file.parent):
        data = RunFolder(file.parent).settings().data
        note(f"source: {data.source}, as in {file.parent}")
    else:
        data, line = resolve_source(data or Data())
        note(line)
    labels = judge.look_up_labels(load_sources(data).test, reference_digits(data))
    result(judge.score(predicted, labels).sentence(), style="bold")
