"""Where the digits come from: Kaggle's files, torchvision's MNIST, or scikit-learn's sample."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from digit_recognizer import competition, files
from tenfold.data.digits import Digits, joined
from tenfold.errors import BadInput
from tenfold.settings import Data
from tenfold.sources import mnist, sample

GET_KAGGLE = f"put Kaggle's {competition.ARCHIVE} there ({competition.PAGE}/data), or let `tenfold download` do it"


@dataclass(frozen=True)
class Sources:
    """What a run works on. Test labels are not in here, so nothing that trains or chooses can meet them."""

    train: Digits  # labelled
    test: Digits  # never labelled
    extra: Digits | None  # further labelled digits, which may occur in train and test: for the overlap guard
    notes: tuple[str, ...]  # lines for people


def resolve_source(data: Data) -> tuple[Data, str]:
    """`data` with "auto" replaced by the best source that is there, and one line that says which and why."""
    if data.source != "auto":
        return data, f"source: {data.source}, as asked for"
    place = data.data
    if files.find(place) is not None:
        return replace(data, source="kaggle"), f"source: kaggle, since {place} holds the competition's files"
    if mnist.present(place):
        line = (
            f"source: mnist, since {place} holds MNIST but not the competition's files; for a submission {GET_KAGGLE}"
        )
        return replace(data, source="mnist"), line
    line = (
        f"source: sample (scikit-learn's small digits), since {place} holds neither the competition's files nor MNIST; "
        f"for the real thing {GET_KAGGLE}, or ask for --source mnist, which downloads"
    )
    return replace(data, source="sample"), line


def load_sources(data: Data) -> Sources:
    """Read the source that `data` names ("auto" must be settled before). Raises BadInput or DamagedFile."""
    if data.source == "kaggle":
        place = _kaggle_place(data.data)
        rows = files.read(place)
        train = Digits.of("kaggle-train", rows.train_images, rows.train_labels)
        test = Digits.of("kaggle-test", rows.test_images, None)
        notes = []
        if (len(train), len(test)) != (competition.TRAIN_ROWS, competition.TEST_ROWS):
            notes.append(
                f"note: {place} has {len(train):,} + {len(test):,} rows, the competition's own files "
                f"{competition.TRAIN_ROWS:,} + {competition.TEST_ROWS:,}"
            )
        try:
            extra = mnist.all_of(_folder(data.data), download=True)
        except BadInput as reason:
            extra = None
            notes.append(f"note: training on Kaggle's rows alone, and no offline judge. {reason}")
        return Sources(train, test, extra, tuple(notes))
    if data.source == "mnist":
        train, test = mnist.load(_folder(data.data), download=True)
        return Sources(train, test.without_labels(), None, ())
    train, test = sample.load()
    return Sources(train, test.without_labels(), None, ())


def reference_digits(data: Data) -> Digits:
    """Labelled digits among which a source's test images may be looked up: for the judge alone.

    Raises BadInput where they are not at hand.
    """
    if data.source == "sample":
        return joined(*sample.load())
    return mnist.all_of(_folder(data.data), download=False)


def _folder(place: Path) -> Path:
    return place.parent if place.is_file() else place


def _kaggle_place(folder: Path) -> Path:
    place = files.find(folder)
    if place is None:
        raise BadInput(f"{folder}: holds neither {competition.ARCHIVE} nor train.csv and test.csv; {GET_KAGGLE}")
    return place
