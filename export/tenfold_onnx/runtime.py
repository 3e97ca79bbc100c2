"""The models' runtime, on numpy and onnxruntime alone: read digits, read drawings, show activations, draw digits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from tenfold_onnx.contract import (
    ACTIVATION,
    ACTIVATION_TYPE,
    CANVAS_INPUTS,
    CANVAS_ONNX,
    CANVAS_OUTPUTS,
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
    TensorType,
    labels_between,
    validated_drawings,
    validated_images,
    validated_labels,
    validated_seed,
    validated_share,
)
from tenfold_onnx.model_file import card_of, first_line, open_model
from tenfold_onnx.outputs import check_activations, check_ink, check_prediction, check_type
from tenfold_onnx.shipped import shipped_models

BATCH: Final = 64  # images per call of onnxruntime: larger batches are no faster and take more memory
DRAWING_PIXELS: Final = 4_000_000  # of drawings per call: 16 MB in float32


class _Model:
    """A model file with the inputs and outputs of its class.

    `path` is an .onnx file; None takes the one that comes with the package.
    `threads` limits the processor cores that a call uses: 1 suits an app, None (all) suits large batches.
    `providers` are onnxruntime's execution providers, in order of preference.
    `verify` compares the file with the hash in its card. Pass False for a model that another program rewrote.
    Raises BadInput where the file is not such a model or is damaged, and later where it returns nonsense.
    """

    inputs: ClassVar[Mapping[str, TensorType]]
    outputs: ClassVar[Mapping[str, TensorType]]
    shipped: ClassVar[str]  # name of the package's own file

    def __init__(
        self,
        path: Path | str | None = None,
        threads: int | None = None,
        providers: Sequence[str] = ("CPUExecutionProvider",),
        verify: bool = True,
    ) -> None:
        self.path = shipped_models() / self.shipped if path is None else path
        self.session = open_model(self.path, self.inputs, self.outputs, threads, providers, verify)
        self.card = card_of(self.session)

    def _run(self, batch: int, *arrays: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
        """The outputs for inputs of N rows each, computed `batch` rows at a time. N may be 0."""
        parts = [
            self._call(self.outputs, *(array[start : start + batch] for array in arrays))
            for start in range(0, len(arrays[0]), batch)
        ]
        if not parts:
            return [np.empty([0, *map(int, tensor.shape[1:])], tensor.dtype) for tensor in self.outputs.values()]
        return [np.concatenate(column) for column in zip(*parts, strict=True)]

    def _call(self, outputs: Mapping[str, TensorType], *arrays: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
        """These outputs for inputs of N rows each, checked for dtype and shape. Raises BadInput."""
        try:
            values = self.session.run(list(outputs), dict(zip(self.inputs, arrays, strict=True)))
        except Exception as error:  # onnxruntime's exceptions share no public base class
            raise BadInput(f"{self.path}: onnxruntime cannot run it ({first_line(error)}); export it again") from error
        for (name, tensor), value in zip(outputs.items(), values, strict=True):
            check_type(self.path, name, value, tensor, len(arrays[0]))
        return values


class Prediction(NamedTuple):
    """The classifier's output for N images."""

    probabilities: npt.NDArray[np.float32]  # (N, 10), each row sums to 1
    label: npt.NDArray[np.int64]  # (N,) in 0..9, or NO_DIGIT


class Classifier(_Model):
    """Reads digits with a classifier.onnx or classifier_light.onnx.

    `path` is such a file; None takes the one that comes with the package.
    `threads` limits the processor cores that a call uses: 1 suits an app, None (all) suits large batches.
    `providers` are onnxruntime's execution providers, in order of preference.
    `verify` compares the file with the hash in its card. Pass False for a model that another program rewrote.
    Raises BadInput where the file is not such a model or is damaged, and later where it returns nonsense.
    """

    inputs, outputs, shipped = CLASSIFIER_INPUTS, CLASSIFIER_OUTPUTS, LIGHT_ONNX

    def predict(self, images: npt.ArrayLike, at_least: float = 0.0) -> Prediction:
        """Probabilities and labels of images uint8 (N, 28, 28) or (28, 28), digits light on dark.

        The label is NO_DIGIT (-1) where no probability reaches `at_least`. N may be 0. Raises BadInput for another
        dtype or shape.
        """
        array, threshold = validated_images(images), validated_share(at_least, "at_least")
        probabilities, label = self._run(BATCH, array)
        check_prediction(self.path, probabilities, label)
        return Prediction(probabilities, np.where(probabilities.max(1) >= threshold, label, NO_DIGIT))


class CanvasPrediction(NamedTuple):
    """The canvas classifier's output for N drawings."""

    probabilities: npt.NDArray[np.float32]  # (N, 10), each row sums to 1; all equal where there is no digit
    label: npt.NDArray[np.int64]  # (N,) in 0..9, or NO_DIGIT
    seen: npt.NDArray[np.uint8]  # (N, 28, 28): the drawing as the net sees it
    ink: npt.NDArray[np.float32]  # (N,): share of the drawing that is ink


class CanvasClassifier(_Model):
    """Reads drawings of any size with a classifier_canvas.onnx. Arguments as for `Classifier`."""

    inputs, outputs, shipped = CANVAS_INPUTS, CANVAS_OUTPUTS, CANVAS_ONNX

    def predict(self, drawings: npt.ArrayLike, at_least: float = 0.0) -> CanvasPrediction:
        """Reads drawings uint8 (N, H, W) or (H, W) of one digit each, dark on light or light on dark.

        The label is NO_DIGIT (-1) for too little ink, a dot, a blot or noise, and where no probability reaches
        `at_least`. N may be 0. Raises BadInput for another dtype or shape.
        """
        array, threshold = validated_drawings(drawings), validated_share(at_least, "at_least")
        batch = max(1, DRAWING_PIXELS // (array.shape[1] * array.shape[2]))
        probabilities, label, seen, ink = self._run(batch, array)
        read = label != NO_DIGIT
        check_prediction(self.path, probabilities, np.where(read, label, probabilities.argmax(1)))
        check_ink(self.path, ink)
        return CanvasPrediction(probabilities, np.where(probabilities.max(1) >= threshold, label, NO_DIGIT), seen, ink)


class Explainer(_Model):
    """Shows a net's activations for an image, with a classifier_explain.onnx. Arguments as for `Classifier`."""

    inputs, outputs, shipped = CLASSIFIER_INPUTS, EXPLAIN_OUTPUTS, EXPLAIN_ONNX

    @property
    def layers(self) -> list[str]:
        """Names of the outputs that are activations, from the first layer on."""
        return [node.name for node in self.session.get_outputs() if node.name.startswith(ACTIVATION)]

    def activations(self, images: npt.ArrayLike) -> list[npt.NDArray[np.float32]]:
        """One array (N, channels, side, side) per convolution for images uint8 (N, 28, 28) or (28, 28).

        All N are computed at once: give hundreds, not thousands. Raises BadInput for another dtype or shape.
        """
        activations = self._call(dict.fromkeys(self.layers, ACTIVATION_TYPE), validated_images(images))
        check_activations(self.path, activations)
        return activations


class Generator(_Model):
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
        return np.random.default_rng(validated_seed(seed)).standard_normal((n, self.z_dim), dtype=np.float32)

    def generate(
        self, labels: npt.ArrayLike, seed: int = 0, z: npt.NDArray[np.float32] | None = None
    ) -> npt.NDArray[np.uint8]:
        """One image per label: uint8 (N, 28, 28) for labels (N,) in 0..9, or from `contract.labels_between`.

        `z` float32 (N, z_dim) replaces the latent vectors that `seed` would draw. Raises BadInput.
        """
        classes = validated_labels(labels)
        if not self.mixes and (classes >= FIRST_BETWEEN).any():
            raise BadInput("labels: this older generator cannot mix digits; write it again with `tenfold export RUN`")
        latent = self.latent(len(classes), seed) if z is None else np.asarray(z)
        shape = (len(classes), self.z_dim)
        if latent.dtype != np.float32 or latent.shape != shape:
            raise BadInput(f"z: must be float32 {shape}, got {latent.dtype} {latent.shape}")
        if not np.isfinite(latent).all():
            raise BadInput("z: must be finite numbers")
        (images,) = self._run(BATCH, latent, classes)
        return images

    def walk(self, label: int | tuple[int, int], seeds: tuple[int, int], steps: int) -> npt.NDArray[np.uint8]:
        """Images uint8 (steps, 28, 28) between the latent vectors of two seeds, of one label or from one to another.

        The path is a great circle, since each of its points is as likely a latent vector as the ends are (T. White,
        "Sampling Generative Networks", 2016). Class embeddings are mixed linearly. Both ends are included, so `steps`
        is at least 2. Raises BadInput.
        """
        if steps < 2:
            raise BadInput(f"steps: must be an integer ≥ 2, got {steps}")
        start, end = (self.latent(1, seed)[0].astype(np.float64) for seed in seeds)
        cosine = start @ end / (np.linalg.norm(start) * np.linalg.norm(end))
        angle = np.arccos(np.clip(cosine, -1, 1))
        share = np.linspace(0, 1, steps)[:, None]
        if angle < 1e-6:  # the same seed twice
            path = np.repeat(start[None], steps, 0)
        else:
            path = (np.sin((1 - share) * angle) * start + np.sin(share * angle) * end) / np.sin(angle)
        first, last = (label, label) if isinstance(label, int | np.integer) else label
        labels = np.full(steps, first) if first == last else labels_between(first, last, share[:, 0])
        return self.generate(labels, z=path.astype(np.float32))
