"""One net as a scikit-learn estimator: for pipelines, searches and comparisons there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import check_array, check_random_state, check_X_y
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, check_non_negative

from tenfold.data.batches import Batches
from tenfold.data.digits import SIDE
from tenfold.errors import BadInput
from tenfold.models.classifier import initial_classifier
from tenfold.models.inference import for_inference, probabilities
from tenfold.presets import Preset, with_preset
from tenfold.seeds import ALL_DIGITS, SeedStream
from tenfold.settings import from_table
from tenfold.training.device import prepare_process, resolve
from tenfold.training.fit_classifier import fit_classifier
from tenfold_onnx.contract import CLASSES
from tenfold_onnx.contract import BadInput as BadModelInput
from tenfold_onnx.inputs import validated_images


class TenfoldClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """A net that reads digits, trained as a run's light net is: warped digits, no generated ones, no folds.

    `tenfold.train` gives better predictions, an honest score and exported models. This is for what works with
    scikit-learn's estimators.

    Parameters
    ----------
    preset
        "demo", "fast" or "best": predefined settings.
    epochs
        Passes over the training digits; by default those of the preset's light net.
    settings
        Further settings as dicts for the tables of a run's settings.toml, of which `light` (channels), `fit`, `warp`
        and `compute` matter here; they override the preset.
    random_state
        An integer gives the same net each time; None another one. Or a `numpy.random.RandomState`.

    Attributes
    ----------
    classes_
        The labels, sorted: up to ten, of any kind.
    n_features_in_
        784, pixels of an image.
    net_
        The trained torch module.

    Examples
    --------
    >>> from sklearn.model_selection import cross_val_score
    >>> cross_val_score(tenfold.TenfoldClassifier(epochs=4), X, y, cv=3)
    """

    def __init__(
        self,
        preset: Preset = "fast",
        *,
        epochs: int | None = None,
        settings: Mapping[str, Any] | None = None,
        random_state: int | np.random.RandomState | None = 0,
    ) -> None:
        self.preset = preset
        self.epochs = epochs
        self.settings = settings
        self.random_state = random_state

    def fit(self, X: Any, y: Any) -> TenfoldClassifier:
        """Train on labelled images.

        Parameters
        ----------
        X
            Rows of pixels (N, 784) or images (N, 28, 28): integers from 0 (background) to 255.
        y
            Labels (N,), of at most ten classes.

        Returns
        -------
        TenfoldClassifier
            This estimator.

        Raises
        ------
        BadInput
            Images, labels or settings are not usable. It is a ValueError.

        Examples
        --------
        >>> tenfold.TenfoldClassifier(epochs=4).fit(train.drop(columns="label"), train.label)
        """
        X, y = check_X_y(X, y, allow_nd=True, estimator=self)
        check_non_negative(X, type(self).__name__)
        check_classification_targets(y)
        images = self._images(X)
        self.classes_, labels = np.unique(y, return_inverse=True)
        if len(self.classes_) > CLASSES:
            raise BadInput(f"y: must have at most {CLASSES} classes, got {len(self.classes_)}")
        self.n_features_in_ = X[0].size
        table = dict(self.settings or {})
        if self.epochs is not None:
            table["light"] = {**table.get("light", {}), "epochs": self.epochs}
        settings = from_table(with_preset(self.preset, table))
        here = replace(settings.compute, workers=1, threads=settings.compute.threads or torch.get_num_threads())
        compute = resolve(here, tasks=1)
        device = prepare_process(compute)
        batches = Batches(
            images=torch.from_numpy(images).to(device),
            labels=torch.from_numpy(labels).to(device),
            warp=settings.warp,
            batch_size=settings.fit.batch_size,
            epoch_images=settings.fit.epoch_images,
        )
        seeds = SeedStream(int(check_random_state(self.random_state).randint(2**31)), ALL_DIGITS)
        with torch.random.fork_rng(devices=[]):  # the caller's random numbers stay as they are
            net = initial_classifier(settings.light_net, seeds)
        net = fit_classifier(net, batches, settings.light_fit, compute, seeds)
        self.net_ = for_inference(net.cpu(), settings.light_net)
        return self

    def predict_proba(self, X: Any) -> npt.NDArray[np.float32]:
        """Probabilities (N, classes) in the order of `classes_`; each row sums to 1. They are not calibrated.

        Parameters
        ----------
        X
            As for `fit`.

        Returns
        -------
        ndarray
            float32 (N, classes).

        Raises
        ------
        BadInput
            The images have another shape or other values. It is a ValueError.

        Examples
        --------
        >>> estimator.predict_proba(X).max(axis=1)
        """
        check_is_fitted(self)
        images = self._images(check_array(X, allow_nd=True, estimator=self))
        probs = probabilities(self.net_, images, torch.device("cpu"))[:, : len(self.classes_)]
        return probs / probs.sum(1, keepdims=True)  # the other outputs of ten have no class

    def predict(self, X: Any) -> npt.NDArray[Any]:
        """The most probable label of each image.

        Parameters
        ----------
        X
            As for `fit`.

        Returns
        -------
        ndarray
            Labels (N,), of `classes_`.

        Raises
        ------
        BadInput
            The images have another shape or other values. It is a ValueError.

        Examples
        --------
        >>> estimator.predict(X)
        """
        probs = self.predict_proba(X)  # first: it refuses an estimator that is not fitted
        return self.classes_[probs.argmax(1)]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.input_tags.positive_only = True
        return tags

    def _images(self, X: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
        """Images uint8 (N, 28, 28). Raises BadInput."""
        rows = X.reshape(len(X), -1)
        if rows.shape[1] != SIDE * SIDE:
            raise BadInput(
                f"X has {rows.shape[1]} features, but {type(self).__name__} is expecting {SIDE * SIDE} features as "
                "input: the pixels of an image"
            )
        try:
            return validated_images(rows)
        except BadModelInput as error:
            raise BadInput(str(error)) from None
