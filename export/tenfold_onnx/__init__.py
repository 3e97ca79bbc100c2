"""Run tenfold's exported models with numpy and onnxruntime alone.

`Classifier` reads digits, `CanvasClassifier` drawings of any size, `Generator` draws digits. The sub-package
`write` makes the model files; it needs torch and is imported by name only.
"""

import os

# onnxruntime from 1.29 on reports its use to Microsoft, and decides as it is loaded. Whoever wants that sets 0.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

from tenfold_onnx.contract import BadInput
from tenfold_onnx.runtime import CanvasClassifier, Classifier, Explainer, Generator

__all__ = ["BadInput", "CanvasClassifier", "Classifier", "Explainer", "Generator"]
