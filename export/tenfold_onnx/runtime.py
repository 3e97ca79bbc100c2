"""The models' runtime, on numpy and onnxruntime alone: read digits, read drawings, show activations, draw digits."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from tenfold_onnx.arguments import validated_integer, validated_pair, validated_share
from tenfold_onnx.contract import (
    ACTIVATION,
    ACTIVATION_TYPE,
    CANVAS_INPUTS,
    CANVAS_ONNX,
    CANVAS_OUTPUTS,
    CLASSES,
    CLASSIFIER_INPUTS,
    CLASSIFIER_OUTPUTS,
    EXPLAIN_ONNX,
    EXPLAIN_OUTPUTS,
    FIRST_BETWEEN,
    GENERATOR_INPUTS,
    GENERATOR_ONNX,
    GENERATOR_OUTPUTS,
    LIGHT_ONNX,
    NO_DIGIT,
    BadInput,
)
from tenfold_onnx.inputs import (
    labels_between,
    validated_drawings,
    validated_images,
    validated_labels,
    validated_latent,
)
from tenfold_onnx.latent import great_circle
from tenfold_onnx.loaded_model import LoadedModel
from tenfold_onnx.outputs import check_activations, check_ink, check_prediction, check_verdict

BATCH: Final = 64  # images per call of onnxruntime: larger batches are no faster and take more memory
DRAWING_PIXELS: Final = 4_000_000  # of drawings per call: 16 MB in float32
DIGITS: Final = np.arange(CLASSES)
DIGITS.setflags(write=False)  # all classifiers share it


class Prediction(NamedTuple):
    """The classifier's output for N images."""

    probabilities: npt.NDArray[np.float32]  # (N, 10), each row sums to 1
    label: npt.NDArray[np.int64]  # (N,) in 0..9, or NO_DIGIT


class Classifier(LoadedModel):
    """Reads digits with a classifier.onnx or classifier_light.onnx.

    `path` is such a file; None takes the one that comes with the package.
    `threads` limits the processor cores that a call uses: 1 suits an app, None (all) suits large batches.
    `providers` are onnxruntime's execution providers, in order of preference: names, or pairs (name, options).
    `verify` compares the file with the hash in its card. Pass False for a model that another program rewrote.
    Copies, also pickled ones, open the file again. `classes_` are the ten digits, the columns of probabilities.
    Raises BadInput where the file is not such a model or is damaged, and later where it returns nonsense.
    """

    inputs, outputs, shipped = CLASSIFIER_INPUTS, CLASSIFIER_OUTPUTS, LIGHT_ONNX
    classes_ = DIGITS

    def predict(self, images: Any, at_least: float = 0.0) -> Prediction:
        """Probabilities and labels of images (N, 28, 28) or (28, 28), or of rows of pixels (N, 784) or (784,).

        Digits are light on dark, values integers from 0 to 255: arrays, lists, or a DataFrame of Kaggle's CSVs. The
        label is NO_DIGIT (-1) where no probability reaches `at_least`. N may be 0. Raises BadInput for other shapes
        or values.
        """
        array, threshold = validated_images(images), validated_share(at_least, "at_least")
        probabilities, label = self._run(BATCH, array)
        check_prediction(self.path, probabilities, label)
        return Prediction(probabilities, np.where(probabilities.max(1) >= threshold, label, NO_DIGIT))

    def predict_proba(self, images: Any) -> npt.NDArray[np.float32]:
        """Probabilities (N, 10) alone, one column per entry of `classes_`; images as for `predict`."""
        return self.predict(images).probabilities


class CanvasPrediction(NamedTuple):
    """The canvas classifier's output for N drawings."""

    probabilities: npt.NDArray[np.float32]  # (N, 10), each row sums to 1; all equal where nothing can be read
    label: npt.NDArray[np.int64]  # (N,) in 0..9, or NO_DIGIT
    seen: npt.NDArray[np.uint8]  # (N, 28, 28): the drawing as the net sees it
    ink: npt.NDArray[np.float32]  # (N,): share of the drawing that is ink
    verdict: npt.NDArray[np.int32]  # (N,): see `contract.Verdict`
    parts: npt.NDArray[np.int32]  # (N,): how many things stand side by side
    boxes: npt.NDArray[np.int32]  # (N, 16, 4): left, top, right, bottom of the first 16, in pixels; the rest is 0


class CanvasClassifier(LoadedModel):
    """Reads drawings of any size with a classifier_canvas.onnx. Arguments as for `Classifier`."""

    inputs, outputs, shipped = CANVAS_INPUTS, CANVAS_OUTPUTS, CANVAS_ONNX
    classes_ = DIGITS

    def predict(self, drawings: Any, at_least: float = 0.0) -> CanvasPrediction:
        """Reads grey drawings (N, H, W) or (H, W) of one digit each, dark on light or light on dark.

        Values are integers from 0 to 255: arrays, lists, or a DataFrame of Kaggle's CSVs. The label is NO_DIGIT (-1)
        where there is no single digit, as `verdict` says, and where no probability reaches `at_least`. N may be 0.
        Raises BadInput for other shapes or values, also for colour pictures.
        """
        array, threshold = validated_drawings(drawings), validated_share(at_least, "at_least")
        batch = min(BATCH, max(1, DRAWING_PIXELS // (array.shape[1] * array.shape[2])))
        probabilities, label, seen, ink, verdict, parts, boxes = self._run(batch, array)
        read = label != NO_DIGIT
        check_prediction(self.path, probabilities, np.where(read, label, probabilities.argmax(1)))
        check_ink(self.path, ink)
        check_verdict(self.path, verdict, read)
        label = np.where(probabilities.max(1) >= threshold, label, NO_DIGIT)
        return CanvasPrediction(probabilities, label, seen, ink, verdict, parts, boxes)

    def predict_proba(self, drawings: Any) -> npt.NDArray[np.float32]:
        """Probabilities (N, 10) alone, one column per entry of `classes_`; drawings as for `predict`."""
        return self.predict(drawings).probabilities


class Explainer(LoadedModel):
    """Shows a net's activations for an image, with a classifier_explain.onnx. Arguments as for `Classifier`."""

    inputs, outputs, shipped = CLASSIFIER_INPUTS, EXPLAIN_OUTPUTS, EXPLAIN_ONNX

    @property
    def layers(self) -> list[str]:
        """Names of the outputs that are activations, from the first layer on."""
        return [node.name for node in self.session.get_outputs() if node.name.startswith(ACTIVATION)]

    def activations(self, images: Any) -> list[npt.NDArray[np.float32]]:
        """One array (N, channels, side, side) per convolution for images as `Classifier.predict` takes them.

        All N are computed at once: give hundreds, not thousands. Raises BadInput for other shapes or values.
        """
        activations = self._call(dict.fromkeys(self.layers, ACTIVATION_TYPE), validated_images(images))
        check_activations(self.path, activations)
        return activations


class Generator(LoadedModel):
    """Draws digits with a generator.onnx. Arguments as for `Classifier`."""

    inputs, outputs, shipped = GENERATOR_INPUTS, GENERATOR_OUTPUTS, GENERATOR_ONNX

    @property
    def z_dim(self) -> int:
        """Width of the latent vector."""
        width: int = self.session.get_inputs()[0].shape[1]
        return width

    @property
    def mixes(self) -> bool:
        """Whether labels may lie between two digits: models of the contract's version 1 cannot do this."""
        return self.card.get("contract", "1") != "1"

    def latent(self, n: int, seed: int = 0) -> npt.NDArray[np.float32]:
        """`n` latent vectors, float32 (n, z_dim), standard normal; the same seed gives the same vectors."""
        rng = np.random.default_rng(validated_integer(seed, "seed", 0))
        return rng.standard_normal((validated_integer(n, "n", 0), self.z_dim), dtype=np.float32)

    def generate(
        self, labels: npt.ArrayLike, seed: int = 0, z: npt.NDArray[np.float32] | None = None
    ) -> npt.NDArray[np.uint8]:
        """One image per label: uint8 (N, 28, 28) for labels (N,) in 0..9, or from `inputs.labels_between`.

        `z` float32 (N, z_dim) replaces the latent vectors that `seed` would draw. Raises BadInput.
        """
        classes = validated_labels(labels)
        if not self.mixes and (classes >= FIRST_BETWEEN).any():
            raise BadInput("labels: this older generator cannot mix digits; write it again with `tenfold export RUN`")
        drawn = self.latent(len(classes), seed) if z is None else validated_latent(z, (len(classes), self.z_dim))
        (images,) = self._run(BATCH, drawn, classes)
        return images

    def walk(self, label: int | tuple[int, int], seeds: tuple[int, int], steps: int) -> npt.NDArray[np.uint8]:
        """Images uint8 (steps, 28, 28) between the latent vectors of two seeds, of one label or from one to another.

        The path is a great circle; class embeddings are mixed linearly. Both ends are included, so `steps` is at
        least 2. Raises BadInput.
        """
        shares = np.linspace(0, 1, validated_integer(steps, "steps", 2))
        labels_of_ends = label if isinstance(label, tuple | list | np.ndarray) else (label, label)
        first, last = validated_pair(labels_of_ends, "label", CLASSES - 1)
        start, end = (self.latent(1, seed)[0] for seed in validated_pair(seeds, "seeds"))
        labels = np.full(steps, first) if first == last else labels_between(first, last, shares)
        return self.generate(labels, z=great_circle(start, end, shares))
