"""Read the digit in an image: python read_image.py classifier_canvas.onnx seven.png

Needs numpy, onnxruntime and Pillow, but not tenfold.
"""

import sys

import numpy as np
import onnxruntime as ort
from PIL import Image

model, image = sys.argv[1:]
session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
drawing = np.asarray(Image.open(image).convert("L"))[None]  # uint8 (1, height, width), any size, either polarity
probabilities, label = session.run(["probabilities", "label"], {"drawings": drawing})
print("no digit" if label[0] < 0 else f"{label[0]} ({probabilities[0].max():.1%})")
