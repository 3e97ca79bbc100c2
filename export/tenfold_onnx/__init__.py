"""Run tenfold's exported models with numpy and onnxruntime alone.

`Classifier` reads digits, `Generator` draws them. The sub-package `write` makes the model files; it
needs torch and is imported by name only.
"""

from tenfold_onnx.contract import BadInput
from tenfold_onnx.runtime import Classifier, Generator

__all__ = ["BadInput", "Classifier", "Generator"]
