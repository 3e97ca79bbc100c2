"""Read the digit in an image: python read_image.py classifier_canvas.onnx seven.png

Needs numpy, onnxruntime and Pillow, but not tenfold.
"""

import sys

import numpy as np
import onnxruntime as ort
from PIL import Image, ImageOps

model, path = sys.argv[1:]
picture = ImageOps.exif_transpose(Image.open(path))  # upright, as the camera says
if picture.mode[0] in "IF":  # more than 8 bits, or fractions
    levels = np.asarray(picture, np.float32)
    picture = Image.fromarray((levels / levels.max() * 255).astype(np.uint8))
grey, opaque = np.moveaxis(np.asarray(picture.convert("RGBA").convert("LA"), np.float32), 2, 0)
opaque /= 255
behind = 255 if (grey * opaque).sum() < 127.5 * opaque.sum() else 0  # what is transparent: paper, or a blackboard
drawing = (grey * opaque + behind * (1 - opaque)).astype(np.uint8)[None]  # (1, height, width), any size and polarity

session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
probabilities, label = session.run(["probabilities", "label"], {"drawings": drawing})
print("no digit" if label[0] < 0 else f"{label[0]} ({probabilities[0].max():.1%})")
