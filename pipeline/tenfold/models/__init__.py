"""The networks: as modules, as weights on disk, as answers, as ONNX files."""
