"""The weights inside ONNX files: named as in torch's state dict, stored in half precision, and read back.

This needs the package ``onnx``. Running an exported model does not.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper

CAST = "_float32"
"""Suffix of the name under which the network reads a weight that is stored as float16."""


def rename_weights(model: ModelProto, names: Mapping[str, str]) -> None:
    """Rename initializers in place.

    Args:
        model: content of the file.
        names: old name -> new name, which no other value of the graph may have.
    """
    for weight in model.graph.initializer:
        weight.name = names.get(weight.name, weight.name)
    _read_instead(model, names)


def store_as_float16(model: ModelProto, names: Collection[str]) -> None:
    """Store weights as float16, in place. The network still computes in float32, with one ``Cast`` per weight.

    ONNX Runtime runs the casts once, when it loads the file. Vectors (biases, batch norm) stay float32: they are one
    percent of a network's weights, but account for up to two thirds of the error.

    Args:
        model: content of the file.
        names: initializers that may be stored as float16.
    """
    casts = []
    for weight in model.graph.initializer:
        if weight.name in names and weight.data_type == TensorProto.FLOAT and len(weight.dims) > 1:
            half = numpy_helper.to_array(weight).astype(np.float16)
            weight.CopyFrom(numpy_helper.from_array(half, weight.name))
            casts.append(helper.make_node("Cast", [weight.name], [weight.name + CAST], to=TensorProto.FLOAT))
    _read_instead(model, {cast.input[0]: cast.output[0] for cast in casts})
    nodes = [*casts, *model.graph.node]  # nodes come after those whose output they read
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def read_weights(model: ModelProto) -> dict[str, np.ndarray]:
    """Return the weights by name, with floats as float32 and without the default values of optional inputs."""
    inputs = {value.name for value in model.graph.input}
    weights = {
        weight.name: numpy_helper.to_array(weight) for weight in model.graph.initializer if weight.name not in inputs
    }
    return {name: value.astype(np.float32) if value.dtype == np.float16 else value for name, value in weights.items()}


def _read_instead(model: ModelProto, names: Mapping[str, str]) -> None:
    for node in model.graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
