"""Loads the digits: Kaggle's files, torchvision's MNIST, or the sample."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from digit_recognizer import competition, files, locate
from tenfold.data.digits import Digits, joined
from tenfold.errors import BadInput
from tenfold.settings import Data
from tenfold.sources import mnist, sample

GET_KAGGLE: Final = f"put Kaggle's {competition.ARCHIVE} there ({competition.PAGE}/data), or run `tenfold download`"


@dataclass(frozen=True)
class Sources:
    """What a run works on. Test labels are not in here, so nothing that trains or chooses can see them."""

    train: Digits  # labelled
    test: Digits  # never labelled
    extra: Digits | None  # further labelled digits for the overlap guard; they may occur in train and in this test
    notes: tuple[str, ...]  # to print


def resolve_source(data: Data) -> tuple[Data, str]:
    """`data` with "auto" replaced by the best source available, and one line that says which and why."""
    if data.source != "auto":
        return data, f"source: {data.source}, as requested"
    folder = data.data
    if locate.find(folder) is not None:
        return replace(data, source="kaggle"), f"source: kaggle, since {folder} holds the competition's files"
    if mnist.present(folder):
        line = (
            f"source: mnist, since {folder} holds MNIST but not the competition's files; for a submission, {GET_KAGGLE}"
        )
        return replace(data, source="mnist"), line
    line = (
        f"source: sample (5,000 digits of MNIST), since {folder} holds neither the competition's files nor MNIST; "
        f"for all of them, {GET_KAGGLE}, or use --source mnist, which downloads it"
    )
    return replace(data, source="sample"), line


def load_sources(data: Data) -> Sources:
    """Read the source that `data` names; "auto" must be resolved before. Raises BadInput or DamagedFile."""
    if data.source == "kaggle":
        path = _kaggle_path(data.data)
        rows = files.read(path)
        train = Digits.of("kaggle-train", rows.train_images, rows.train_labels)
        test = Digits.of("kaggle-test", rows.test_images, None)
        notes = []
        if path not in (data.data, data.data / competition.ARCHIVE):
            notes.append(f"note: reading {path}")
        if (len(train), len(test)) != (competition.TRAIN_ROWS, competition.TEST_ROWS):
            notes.append(
                f"note: {path} has {len(train):,} + {len(test):,} rows, the competition's own files "
                f"{competition.TRAIN_ROWS:,} + {competition.TEST_ROWS:,}"
            )
        try:
            extra = mnist.all_of(_folder(data.data), download=True)
        except BadInput as reason:
            extra = None
            notes.append(f"note: training on Kaggle's rows alone, and no offline test score. {reason}")
        # MNIST has the labels of all the competition's test images, so it may add only to what is whole.
        if extra and data.overlap == "honest" and test.images_sha256() != competition.TEST_IMAGES_SHA256:
            extra = None
            notes.append(
                f"note: training on Kaggle's rows alone, since {path} does not have all of the competition's "
                f"{competition.TEST_ROWS:,} test images, and MNIST has the others with their labels"
            )
        return Sources(train, test, extra, tuple(notes))
    if data.source == "mnist":
        train, test = mnist.load(_folder(data.data), download=True)
        return Sources(train, test.without_labels(), None, ())
    train, test = sample.load()
    return Sources(train, test.without_labels(), None, ())


def reference_digits(data: Data) -> Digits:
    """Labelled digits to look up a source's test images in, for the offline test score alone.

    Raises BadInput where they are not available.
    """
    if data.source == "sample":
        return joined(*sample.load())
    return mnist.all_of(_folder(data.data), download=False)


def _folder(path: Path) -> Path:
    return path.parent if path.is_file() else path


def _kaggle_path(folder: Path) -> Path:
    path = locate.find(folder)
    if path is None:
        raise BadInput(f"{folder}: holds neither {competition.ARCHIVE} nor train.csv and test.csv; {GET_KAGGLE}")
    return path
