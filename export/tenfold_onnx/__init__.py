"""Run tenfold's exported models with numpy and onnxruntime alone.

`Classifier` reads digits, `CanvasClassifier` drawings of any size; `Explainer` shows activations; `Generator` draws
digits. Without a path each opens the model that comes with the package. The sub-package `write` makes the model
files. It needs torch, and importing `tenfold_onnx` does not load it.
"""

import os

# From 1.29 on, onnxruntime reports usage to Microsoft unless this is set before it is imported. Set 0 to allow it.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

from tenfold_onnx.contract import BadInput
from tenfold_onnx.runtime import CanvasClassifier, Classifier, Explainer, Generator
from tenfold_onnx.shipped import shipped_models

__all__ = ["BadInput", "CanvasClassifier", "Classifier", "Explainer", "Generator", "shipped_models"]
