"""Inference with trained generators: colorization, backends, ONNX export and the model that comes with the package."""
