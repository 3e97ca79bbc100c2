"""Writes the model files. Needs torch and onnx; the runtime never imports it."""
