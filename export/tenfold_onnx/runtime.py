"""The models at work, on numpy and onnxruntime alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from tenfold_onnx.contract import (
    ACTIVATION,
    CANVAS_INPUTS,
    CANVAS_OUTPUTS,
    CLASSIFIER_INPUTS,
    CLASSIFIER_OUTPUTS,
    GENERATOR_INPUTS,
    GENERATOR_OUTPUTS,
    NO_DIGIT,
    BadInput,
    checked_drawings,
    checked_images,
    checked_labels,
    checked_seed,
    checked_share,
)

BATCH: Final = 64  # images a call; larger inputs are cut up: no slower, and memory stays bounded

PIXELS: Final = 4_000_000  # of drawings, a call: 16 MB a copy


class Prediction(NamedTuple):
    """What the classifier says of N images."""

    probabilities: npt.NDArray[np.float32]  # (N, 10), each row sums to 1
    label: npt.NDArray[np.int64]  # (N,) in 0..9, or NO_DIGIT


class _Model:
    """A model file that keeps its contract.

    `threads` bounds the processor cores a call may use: 1 suits an app, None (all) suits large batches.
    `providers` are onnxruntime's execution providers, in order of preference.
    Raises BadInput where the file is no such model.
    """

    inputs: ClassVar[tuple[str, ...]]
    outputs: ClassVar[tuple[str, ...]]

    def __init__(
        self,
        path: Path | str,
        threads: int | None = None,
        providers: Sequence[str] = ("CPUExecutionProvider",),
    ) -> None:
        self.session = _session(path, self.inputs, self.outputs, threads, providers)
        self.card: dict[str, str] = dict(self.session.get_modelmeta().custom_metadata_map)

    def _answers(self, batch: int, *arrays: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
        """The outputs for inputs of N rows each, asked for `batch` rows at a time; N may be 0."""
        parts = [
            self.session.run(
                list(self.outputs),
                {name: array[start : start + batch] for name, array in zip(self.inputs, arrays, strict=True)},
            )
            for start in range(0, len(arrays[0]), batch)
        ]
        if not parts:
            return [self._nothing(name) for name in self.outputs]
        return [np.concatenate(column) for column in zip(*parts, strict=True)]

    def _nothing(self, output: str) -> npt.NDArray[Any]:
        """The output for no rows, with the dtype and the further sides that the file declares."""
        node = next(node for node in self.session.get_outputs() if node.name == output)
        return np.empty((0, *node.shape[1:]), np.dtype(_dtype(node)))


class Classifier(_Model):
    """Reads digits with a classifier.onnx, or its light form.

    `threads` bounds the processor cores a call may use: 1 suits an app, None (all) suits large batches.
    `providers` are onnxruntime's execution providers, in order of preference.
    Raises BadInput where the file is no such model.
    """

    inputs, outputs = CLASSIFIER_INPUTS, CLASSIFIER_OUTPUTS

    def predict(self, images: npt.ArrayLike, at_least: float = 0.0) -> Prediction:
        """Probabilities and labels of images uint8 (N, 28, 28) or (28, 28), digits light on dark.

        Where no probability reaches `at_least`, the label is NO_DIGIT (-1). N may be 0. Raises BadInput for another
        dtype or shape.
        """
        array, threshold = checked_images(images), checked_share(at_least, "at_least")
        probabilities, label = self._answers(BATCH, array)
        return Prediction(probabilities, np.where(probabilities.max(1) >= threshold, label, NO_DIGIT))


class Reading(NamedTuple):
    """What the canvas classifier says of N drawings."""

    probabilities: npt.NDArray[np.float32]  # (N, 10), each row sums to 1; all equal where there is no digit
    label: npt.NDArray[np.int64]  # (N,) in 0..9, or NO_DIGIT
    seen: npt.NDArray[np.uint8]  # (N, 28, 28): the drawing as the net sees it
    ink: npt.NDArray[np.float32]  # (N,): share of the drawing that is ink


class CanvasClassifier(_Model):
    """Reads drawings of any size with a classifier_canvas.onnx, which prepares them itself. As `Classifier`."""

    inputs, outputs = CANVAS_INPUTS, CANVAS_OUTPUTS

    def predict(self, drawings: npt.ArrayLike, at_least: float = 0.0) -> Reading:
        """What is on drawings uint8 (N, H, W) or (H, W): one digit each, dark on light or light on dark.

        The label is NO_DIGIT (-1) where there is too little ink, a dot, a blot or noise, and where no probability
        reaches `at_least`. N may be 0. Raises BadInput for another dtype or shape.
        """
        array, threshold = checked_drawings(drawings), checked_share(at_least, "at_least")
        batch = max(1, PIXELS // (array.shape[1] * array.shape[2]))
        probabilities, label, seen, ink = self._answers(batch, array)
        return Reading(probabilities, np.where(probabilities.max(1) >= threshold, label, NO_DIGIT), seen, ink)


class Explainer(_Model):
    """Shows what a net's layers make of an image, with a classifier_explain.onnx. Arguments as for `Classifier`."""

    inputs, outputs = CLASSIFIER_INPUTS, (*CLASSIFIER_OUTPUTS, f"{ACTIVATION}1")

    @property
    def layers(self) -> list[str]:
        """The outputs that are layers, from the first on."""
        return [node.name for node in self.session.get_outputs() if node.name.startswith(ACTIVATION)]

    def activations(self, images: npt.ArrayLike) -> list[npt.NDArray[np.float32]]:
        """What stands after each convolution for images uint8 (N, 28, 28) or (28, 28): (N, channels, side, side).

        All of them at once: a batch of hundreds, not of thousands. Raises BadInput for another dtype or shape.
        """
        return self.session.run(self.layers, {self.inputs[0]: checked_images(images)})


class Generator(_Model):
    """Draws digits with a generator.onnx. Arguments as for `Classifier`."""

    inputs, outputs = GENERATOR_INPUTS, GENERATOR_OUTPUTS

    @property
    def z_dim(self) -> int:
        """Width of the latent vector."""
        return self.session.get_inputs()[0].shape[1]

    def latent(self, n: int, seed: int = 0) -> npt.NDArray[np.float32]:
        """`n` latent vectors, float32 (n, z_dim), standard normal; the same seed gives the same vectors."""
        return np.random.default_rng(checked_seed(seed)).standard_normal((n, self.z_dim), dtype=np.float32)

    def generate(
        self, labels: npt.ArrayLike, seed: int = 0, z: npt.NDArray[np.float32] | None = None
    ) -> npt.NDArray[np.uint8]:
        """One image uint8 (28, 28) for each of labels (N,) in 0..9: (N, 28, 28).

        `z` float32 (N, z_dim) replaces the latent vectors that `seed` would draw. Raises BadInput.
        """
        asked = checked_labels(labels)
        latent = self.latent(len(asked), seed) if z is None else np.asarray(z)
        if latent.dtype != np.float32 or latent.shape != (len(asked), self.z_dim):
            raise BadInput(f"z: is {latent.dtype} {latent.shape} where float32 ({len(asked)}, {self.z_dim}) belongs")
        (images,) = self._answers(BATCH, latent, asked)
        return images

    def walk(self, label: int, seeds: tuple[int, int], steps: int) -> npt.NDArray[np.uint8]:
        """Images uint8 (steps, 28, 28) of `label` on the way from one seed's latent vector to another's.

        The way is the great circle, on which every step is as likely a latent vector as its ends (T. White,
        "Sampling Generative Networks", 2016). `steps` is 2 or more. Raises BadInput.
        """
        if steps < 2:
            raise BadInput(f"steps: are {steps} where a whole number from 2 belongs")
        start, end = (self.latent(1, seed)[0].astype(np.float64) for seed in seeds)
        cosine = start @ end / (np.linalg.norm(start) * np.linalg.norm(end))
        angle = np.arccos(np.clip(cosine, -1, 1))
        share = np.linspace(0, 1, steps)[:, None]
        if angle < 1e-6:  # the same seed twice: nowhere to go
            way = np.repeat(start[None], steps, 0)
        else:
            way = (np.sin((1 - share) * angle) * start + np.sin(share * angle) * end) / np.sin(angle)
        return self.generate([label] * steps, z=way.astype(np.float32))


@dataclass(frozen=True)
class Description:
    """What a model file says of itself."""

    inputs: dict[str, str]  # name -> type and shape, such as "uint8 (batch, 28, 28)"
    outputs: dict[str, str]
    card: dict[str, str]


def described(path: Path | str) -> Description:
    """Contract and card of any ONNX model. Raises BadInput where the file is none."""
    session = _opened(path, threads=1, providers=("CPUExecutionProvider",))
    return Description(
        {node.name: _typed(node) for node in session.get_inputs()},
        {node.name: _typed(node) for node in session.get_outputs()},
        dict(session.get_modelmeta().custom_metadata_map),
    )


def _typed(node: Any) -> str:
    return f"{_dtype(node)} ({', '.join(str(side) for side in node.shape)}{',' * (len(node.shape) == 1)})"


def _dtype(node: Any) -> str:
    """As numpy calls what onnxruntime calls tensor(float)."""
    name = node.type.removeprefix("tensor(").removesuffix(")")
    return {"float": "float32", "double": "float64"}.get(name, name)


def _session(
    path: Path | str,
    inputs: Sequence[str],
    outputs: Sequence[str],
    threads: int | None,
    providers: Sequence[str],
) -> ort.InferenceSession:
    session = _opened(path, threads, providers)
    found_in = tuple(node.name for node in session.get_inputs())
    found_out = {node.name for node in session.get_outputs()}
    if found_in != tuple(inputs) or not set(outputs) <= found_out:
        raise BadInput(
            f"{path}: takes {', '.join(found_in)} and gives {', '.join(sorted(found_out))}, where a model that "
            f"takes {', '.join(inputs)} and gives {', '.join(outputs)} belongs; give the other .onnx file"
        )
    return session


def _opened(path: Path | str, threads: int | None, providers: Sequence[str]) -> ort.InferenceSession:
    path = Path(path)
    if path.is_dir():
        held = ", ".join(str(model) for model in sorted(path.glob("*.onnx"))) or "none is in it"
        raise BadInput(f"{path}: is a folder; give one .onnx file ({held})")
    if not path.is_file():
        raise BadInput(
            f"{path}: there is no such model file; give an exported .onnx file (on the command line --model)"
        )
    missing = [name for name in providers if name not in ort.get_available_providers()]
    if missing:
        have = ", ".join(ort.get_available_providers())
        raise BadInput(f"providers: {missing[0]} is not in this onnxruntime; it has {have}")
    options = ort.SessionOptions()
    options.log_severity_level = 3  # errors only: the wheel warns about hardware that it can't look at
    if threads is not None:
        if threads < 1:
            raise BadInput(f"threads: is {threads} where a whole number from 1 belongs")
        options.intra_op_num_threads = threads
    try:
        return ort.InferenceSession(str(path), options, providers=list(providers))
    except Exception as error:  # onnxruntime's exceptions share no public base class
        raise BadInput(
            f"{path}: is no ONNX model that onnxruntime can load ({_first_line(error)}); export it again"
        ) from error


def _first_line(error: Any) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:160]
