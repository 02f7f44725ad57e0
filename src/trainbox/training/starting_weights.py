"""Scale the random weights of a new network to the data, so that the first step already learns.

Networks are initialised for inputs of mean 0 and variance 1. Camera pixels of 0..1 are nothing like that: dark ones
reach the last layer as almost nothing, and the first epochs go by before the network has grown its weights. Here each
layer in turn is scaled until what it gives has a mean square of 1, on real inputs (Mishkin and Matas, "All you need is
a good init", 2016). The network stays the same network: only its first weights are others.
"""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

SMALL = 1e-6
OUTPUT_SCALE = 0.1


def scale_to_data(network: keras.Model, inputs: Mapping[str, np.ndarray], targets: Mapping[str, np.ndarray]) -> None:
    """Scale kernels and set biases of an untrained network, layer by layer, by some of its training examples.

    ``inputs`` are by input name, ``targets`` by the name of the output layer; float32, first axis the examples. Layers
    that read an input see it standardised, channel by channel. Hidden layers give a mean square of 1. Output layers
    are dense and start out answering the mean of their targets. ``network`` is functional, without networks inside it.
    """
    values: dict[int, Any] = {id(tensor): inputs[tensor.name] for tensor in network.inputs}
    fed = set(values)
    for layer in network.layers:
        if isinstance(layer, keras.layers.InputLayer):
            continue
        given = _given(layer.input, values)
        if _has_kernel(layer):
            if layer.name in targets:
                _answer_mean(layer, given, targets[layer.name])
            else:
                _scale(layer, given, standardise=id(layer.input) in fed)
        values[id(layer.output)] = layer(given)


def _given(tensors: Any, values: Mapping[int, Any]) -> Any:
    if isinstance(tensors, list):
        return [values[id(tensor)] for tensor in tensors]
    return values[id(tensors)]


def _has_kernel(layer: keras.layers.Layer) -> bool:
    return getattr(layer, "kernel", None) is not None and getattr(layer, "use_bias", False)


def _scale(layer: keras.layers.Layer, given: Any, *, standardise: bool) -> None:
    kernel, bias = layer.get_weights()
    if standardise:
        pixels = keras.ops.convert_to_numpy(given)
        axes = tuple(range(pixels.ndim - 1))
        mean, spread = pixels.mean(axes), np.maximum(pixels.std(axes), SMALL)
        kernel = kernel / spread[:, None]
        bias = bias - (kernel * mean[:, None]).sum(tuple(range(kernel.ndim - 1)))
        layer.set_weights([kernel, bias])
    answer = keras.ops.convert_to_numpy(layer(given))
    size = max(float(np.sqrt(np.mean(np.square(answer)))), SMALL)
    layer.set_weights([kernel / size, bias / size])


def _answer_mean(layer: keras.layers.Layer, given: Any, target: np.ndarray) -> None:
    """Shrink the kernel and set the bias, so that the layer answers about the mean of its targets."""
    kernel = layer.get_weights()[0] * OUTPUT_SCALE
    wanted = _before_activation(layer.activation, target.mean(0))
    layer.set_weights([kernel, wanted - keras.ops.convert_to_numpy(given).mean(0) @ kernel])


def _before_activation(activation: Any, mean: np.ndarray) -> np.ndarray:
    if activation is keras.activations.softmax:
        # Classes that were not met yet are rare, not impossible.
        return np.log(mean + 0.1 / len(mean))
    if activation is keras.activations.sigmoid:
        return np.log(np.clip(mean, 0.01, 0.99) / (1 - np.clip(mean, 0.01, 0.99)))
    if activation is keras.activations.tanh:
        return np.arctanh(np.clip(mean, -0.98, 0.98))
    return mean
