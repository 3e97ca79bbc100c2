"""The models that the page offers: one entry per folder of a run, loaded at first use."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from tenfold_onnx.contract import CANVAS_ONNX, EXPLAIN_ONNX, GENERATOR_ONNX, LIGHT_ONNX, SIDE, BadInput
from tenfold_onnx.runtime import CanvasClassifier, Classifier, Explainer, Generator
from tenfold_onnx.shipped import shipped_models

SHIPPED_NAME: Final = "shipped with Tenfold"
PATCH: Final = 4  # pixels: side of the square that occlusion covers


@dataclass(frozen=True)
class Models:
    """The models of one folder."""

    canvas: CanvasClassifier
    light: Classifier
    explain: Explainer
    generator: Generator


class ModelStore:
    """Folders of models by name. Each model runs on one thread, since many requests share the cores."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self.folders = {_name(folder, folders): folder for folder in folders}
        self._loaded: dict[str, Models] = {}
        self._lock = threading.Lock()

    def models(self, name: str) -> Models:
        """The models of the folder called `name`. Raises BadInput for an unknown name or a damaged file."""
        folder = self.folders.get(name)
        if folder is None:
            raise BadInput(f"model: there is no {name!r}; choose from {', '.join(self.folders)}")
        with self._lock:
            if name not in self._loaded:
                self._loaded[name] = Models(
                    CanvasClassifier(folder / CANVAS_ONNX, threads=1),
                    Classifier(folder / LIGHT_ONNX, threads=1),
                    Explainer(folder / EXPLAIN_ONNX, threads=1),
                    Generator(folder / GENERATOR_ONNX, threads=1),
                )
            return self._loaded[name]

    def description(self, name: str) -> dict[str, Any]:
        """What the page must know of a folder's models, as JSON.

        The card (scores, training data, honest or leaked), the width of the generator's latent vector, and whether it
        can mix two digits.
        """
        models = self.models(name)
        generator = models.generator
        return {"name": name, "card": models.canvas.card, "z_dim": generator.z_dim, "mixes": generator.mixes}


def find_model_folders(paths: Sequence[Path]) -> list[Path]:
    """The folders with a page's models: `paths` themselves and the folders in them, newest first. Raises BadInput."""
    for path in paths:
        if not path.is_dir():
            raise BadInput(f"{path}: is not a folder; give a run's folder, or a folder of runs")
    folders = [folder for path in paths for folder in (path, *path.iterdir()) if (folder / CANVAS_ONNX).is_file()]
    if not folders:
        raise BadInput(
            f"{', '.join(map(str, paths))}: has no {CANVAS_ONNX}; make one with `tenfold run`, or `tenfold export RUN`"
        )
    return sorted(sorted(folders), key=lambda folder: -(folder / CANVAS_ONNX).stat().st_mtime)


def occlusion(classifier: Classifier, image: npt.NDArray[np.uint8], label: int) -> npt.NDArray[np.float32]:
    """An occlusion map float32 (7, 7): how much `label`'s probability falls when a 4x4 square of `image` is covered.

    `image` is uint8 (28, 28). M. Zeiler, R. Fergus, "Visualizing and Understanding Convolutional Networks", ECCV 2014.
    """
    squares = SIDE // PATCH
    covered = np.repeat(image[None], squares * squares + 1, 0)  # the last one stays uncovered
    for index in range(squares * squares):
        row, column = (PATCH * cell for cell in divmod(index, squares))
        covered[index, row : row + PATCH, column : column + PATCH] = 0
    probabilities = classifier.predict(covered).probabilities[:, label]
    fall: npt.NDArray[np.float32] = (probabilities[-1] - probabilities[:-1]).reshape(squares, squares)
    return fall


def channel_images(activation: npt.NDArray[np.float32], most: int) -> npt.NDArray[np.uint8]:
    """The `most` channels that vary most, as grey images uint8 (n, side, side), of float32 (C, side, side)."""
    most_active = np.argsort(-activation.std((1, 2)), kind="stable")[:most]
    chosen = activation[np.sort(most_active)]
    peak = max(float(chosen.max()), 1e-6)
    grey: npt.NDArray[Any] = np.clip(chosen / peak * 255, 0, 255)
    return grey.astype(np.uint8)


def _name(folder: Path, folders: Sequence[Path]) -> str:
    """The folder's own name, or its path where another folder has the same name."""
    if folder == shipped_models():
        return SHIPPED_NAME
    same_name = [other for other in folders if other.name == folder.name]
    return folder.resolve().name if len(same_name) == 1 else str(folder)
