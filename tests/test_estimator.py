"""The estimator is one net, trained as a run trains its light net, and behaves as scikit-learn's estimators do."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import check_estimator

from digit_recognizer.rows import PIXELS
from tenfold import BadInput, TenfoldClassifier
from tenfold.sources import sample

SMALL: dict[str, Any] = {
    "light": {"channels": [4, 8], "epochs": 2},
    "fit": {"epoch_images": 256, "batch_size": 16},
    "warp": {"rotation_deg": 0, "shear_deg": 0, "scale": 0, "shift_px": 0},
}
TRAIN = sample.load()[0]
IMAGES, LABELS = TRAIN.images[:200], TRAIN.known_labels()[:200]
ROWS = IMAGES.reshape(-1, 784)


@pytest.fixture(scope="module")
def fitted() -> TenfoldClassifier:
    return TenfoldClassifier(settings=SMALL).fit(ROWS, LABELS)


def test_it_learns() -> None:
    estimator = TenfoldClassifier(epochs=8, settings=SMALL | {"light": {"channels": [8, 16, 24]}})
    rows, labels = TRAIN.images[:1000].reshape(-1, 784), TRAIN.known_labels()[:1000]
    assert cross_val_score(estimator, rows, labels, cv=2).mean() > 0.85


@pytest.mark.parametrize(
    "images",
    [IMAGES, ROWS.astype(np.float64), pd.DataFrame(ROWS, columns=list(PIXELS))],
    ids=["images", "floats", "frame"],
)
def test_all_forms_give_the_same_net(fitted: TenfoldClassifier, images: Any) -> None:
    again = clone(fitted).fit(images, LABELS)
    assert (again.predict_proba(images) == fitted.predict_proba(ROWS)).all()


def test_the_seed_decides(fitted: TenfoldClassifier) -> None:
    other = clone(fitted).set_params(random_state=1).fit(ROWS, LABELS)
    assert (other.predict_proba(ROWS) != fitted.predict_proba(ROWS)).any()


def test_labels_may_be_any_two_words() -> None:
    some = np.isin(LABELS, (3, 8))
    words = np.where(LABELS[some] == 3, "three", "eight")
    estimator = TenfoldClassifier(settings=SMALL).fit(ROWS[some], words)
    assert estimator.classes_.tolist() == ["eight", "three"] and estimator.n_features_in_ == 784
    assert estimator.predict_proba(ROWS).shape == (200, 2)
    assert estimator.predict_proba(ROWS).sum(1) == pytest.approx(1)
    assert set(estimator.predict(ROWS)) <= {"eight", "three"}


def test_it_works_in_a_pipeline(fitted: TenfoldClassifier) -> None:
    pipeline = make_pipeline("passthrough", clone(fitted)).fit(ROWS, LABELS)
    assert (pipeline.predict(ROWS) == fitted.predict(ROWS)).all()


def test_a_copy_predicts_the_same(fitted: TenfoldClassifier) -> None:
    assert (copy.deepcopy(fitted).predict_proba(ROWS) == fitted.predict_proba(ROWS)).all()


def test_the_callers_torch_stays_as_it_was() -> None:
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    TenfoldClassifier(settings=SMALL).fit(ROWS, LABELS)
    assert (torch.get_rng_state() == state).all() and torch.get_num_threads() == threads


@pytest.mark.parametrize(
    ("rows", "labels", "changes", "message"),
    [
        (ROWS[:, :9], LABELS, {}, "X has 9 features, but TenfoldClassifier is expecting 784 features"),
        (ROWS / 255, LABELS, {}, "images: must be integers from 0 to 255, .*multiply by 255"),
        (ROWS, np.arange(200), {}, "y: must have at most 10 classes, got 200"),
        (ROWS, LABELS, {"preset": "slow"}, "preset: must be one of"),
        (ROWS, LABELS, {"epochs": 0}, r"light\.epochs: must be an integer ≥ 1, got 0"),
        (ROWS, LABELS, {"settings": {"fit": {"epoch": 1}}}, r"unknown setting fit\.epoch"),
    ],
)
def test_bad_input_is_refused(rows: Any, labels: Any, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        TenfoldClassifier().set_params(**changes).fit(rows, labels)


class OnAnyFeatures(TenfoldClassifier):
    """Takes scikit-learn's generic test data: each feature becomes a grey block of the image."""

    def fit(self, X: Any, y: Any) -> TenfoldClassifier:
        fitted = super().fit(X, y)
        self.n_features_in_ = np.asarray(X).shape[1]
        return fitted

    def _images(self, X: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
        if hasattr(self, "n_features_in_") and X.shape[1] != self.n_features_in_ and hasattr(self, "net_"):
            raise BadInput(
                f"X has {X.shape[1]} features, but OnAnyFeatures is expecting {self.n_features_in_} features as input"
            )
        grey = 255 / (1 + np.exp(-X.astype(np.float64).clip(-50, 50)))
        side = int(np.ceil(np.sqrt(X.shape[1])))
        cells = np.zeros((len(X), side * side))
        cells[:, : X.shape[1]] = grey
        blocks = cells.reshape(-1, side, side).repeat(28 // side, 1).repeat(28 // side, 2)
        images = np.zeros((len(X), 28, 28), np.uint8)
        images[:, : blocks.shape[1], : blocks.shape[2]] = np.rint(blocks)
        return images


@pytest.mark.slow
def test_it_passes_scikit_learns_checks() -> None:
    """All of them, on generic data through a subclass that makes images of them: an image has 784 pixels."""
    results = check_estimator(OnAnyFeatures(epochs=10, settings=SMALL), on_fail=None)
    assert {result["check_name"]: result["exception"] for result in results if result["status"] == "failed"} == {}
    assert sum(result["status"] == "passed" for result in results) > 50


def test_it_must_be_fitted_before_it_predicts() -> None:
    with pytest.raises(NotFittedError):
        TenfoldClassifier().predict(ROWS)
