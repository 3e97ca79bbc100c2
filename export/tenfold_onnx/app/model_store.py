"""The models that the page offers: every folder that holds a run's models, opened when first asked for."""

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

PATCH: Final = 4  # side of the square that occlusion covers, pixels


@dataclass(frozen=True)
class Models:
    """What one folder holds."""

    canvas: CanvasClassifier
    light: Classifier
    explain: Explainer
    generator: Generator


class ModelStore:
    """Folders of models by name. One thread a call: many callers share the cores."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self.folders = {_name(folder, folders): folder for folder in folders}
        self._opened: dict[str, Models] = {}
        self._lock = threading.Lock()

    def models(self, name: str) -> Models:
        """Those of the folder `name`. Raises BadInput where there is none such, or a file in it is no such model."""
        folder = self.folders.get(name)
        if folder is None:
            raise BadInput(f"model: there is no {name!r}; there are {', '.join(self.folders)}")
        with self._lock:
            if name not in self._opened:
                self._opened[name] = Models(
                    CanvasClassifier(folder / CANVAS_ONNX, threads=1),
                    Classifier(folder / LIGHT_ONNX, threads=1),
                    Explainer(folder / EXPLAIN_ONNX, threads=1),
                    Generator(folder / GENERATOR_ONNX, threads=1),
                )
            return self._opened[name]

    def card(self, name: str) -> dict[str, str]:
        """What a person should know before believing an answer."""
        return self.models(name).canvas.card


def found(places: Sequence[Path]) -> list[Path]:
    """The folders with a page's models: those of `places`, and the folders in them, newest first. Raises BadInput."""
    folders: list[Path] = []
    for place in places:
        if not place.is_dir():
            raise BadInput(f"{place}: is no folder; give the folder of a run, or one that holds runs")
        inside = sorted(folder for folder in place.iterdir() if folder.is_dir())
        folders += [folder for folder in (place, *inside) if (folder / CANVAS_ONNX).is_file()]
    if not folders:
        raise BadInput(
            f"{', '.join(map(str, places))}: holds no {CANVAS_ONNX}; "
            "make one with `tenfold run`, or `tenfold export RUN`"
        )
    return sorted(folders, key=lambda folder: -(folder / CANVAS_ONNX).stat().st_mtime)


def occlusion(classifier: Classifier, seen: npt.NDArray[np.uint8], label: int) -> npt.NDArray[np.float32]:
    """How much of `label`'s probability each square of `seen` uint8 (28, 28) carries: float32 (7, 7).

    M. Zeiler, R. Fergus, "Visualizing and Understanding Convolutional Networks", ECCV 2014: cover a square, and
    see what the probability falls by.
    """
    squares = SIDE // PATCH
    covered = np.repeat(seen[None], squares * squares + 1, 0)
    for place in range(squares * squares):
        row, column = (PATCH * part for part in divmod(place, squares))
        covered[place, row : row + PATCH, column : column + PATCH] = 0
    said = classifier.predict(covered).probabilities[:, label]
    fall: npt.NDArray[np.float32] = (said[-1] - said[:-1]).reshape(squares, squares)
    return fall


def pictures(activation: npt.NDArray[np.float32], most: int) -> npt.NDArray[np.uint8]:
    """The `most` liveliest channels of float32 (C, side, side) as grey pictures, uint8 (n, side, side)."""
    liveliest = np.argsort(-activation.std((1, 2)), kind="stable")[:most]
    chosen = activation[np.sort(liveliest)]
    peak = max(float(chosen.max()), 1e-6)
    grey: npt.NDArray[Any] = np.clip(chosen / peak * 255, 0, 255)
    return grey.astype(np.uint8)


def _name(folder: Path, folders: Sequence[Path]) -> str:
    """The folder's own name, or more of its path where that is taken."""
    alike = [other for other in folders if other.name == folder.name]
    return folder.resolve().name if len(alike) == 1 else str(folder)
