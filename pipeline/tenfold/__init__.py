"""From Kaggle's digit-recognizer files to an honest submission and ONNX models: `tenfold run`."""
