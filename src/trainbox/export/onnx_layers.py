"""Layers of Keras in operators of ONNX: those that our networks are made of, each in its own function.

They are a dozen layers, and what they write is proved in onnxruntime file by file; tf2onnx was not tried.
"""

from collections.abc import Callable, Sequence
from math import ceil
from typing import Any

import numpy as np

from trainbox.errors import ExportError
from trainbox.export.onnx_graph import Graph, Value

Writer = Callable[[Graph, Any, Sequence[Any], tuple[int | None, ...]], Value]
"""Writes a layer: graph, layer, what it was called with (values, an operation's settings), its output's shape."""


def write_layer(graph: Graph, layer: Any, arguments: Sequence[Any], shape: tuple[int | None, ...]) -> Value:
    """Write a layer of Keras, or an operation; return its output. Raise ExportError where there is none for it here."""
    kind = type(layer).__name__
    if kind not in _WRITERS:
        raise ExportError(f"Layer '{layer.name}' is a {kind}, which is not written to ONNX. Use the SavedModel.")
    return _WRITERS[kind](graph, layer, arguments, shape)


def _convolution(graph: Graph, layer: Any, arguments: Sequence[Any], shape: tuple[int | None, ...]) -> Value:
    (value,) = arguments
    _refuse(layer, layer.data_format != "channels_last", "its channels first")
    kernel = np.asarray(layer.kernel)
    groups = getattr(layer, "groups", kernel.shape[2])
    if type(layer).__name__ == "DepthwiseConv2D":
        kernel = kernel.reshape(*kernel.shape[:2], 1, -1)
    inputs = [graph.first(value), graph.constant(kernel.transpose(3, 2, 0, 1))]
    if layer.use_bias:
        inputs.append(graph.constant(np.asarray(layer.bias)))
    name = graph.add(
        "Conv",
        inputs,
        group=groups,
        kernel_shape=list(layer.kernel_size),
        strides=list(layer.strides),
        dilations=list(layer.dilation_rate),
        pads=_pads(layer, value.shape, layer.kernel_size, layer.dilation_rate),
    )
    return _activated(graph, layer, layer.activation, Value(shape, first=name))


def _pads(layer: Any, shape: Sequence[int | None], window: Sequence[int], dilation: Sequence[int]) -> list[int]:
    """Return what is padded above, left, below and right: TensorFlow's "same" puts the odd pixel behind."""
    if layer.padding == "valid":
        return [0, 0, 0, 0]
    before, behind = [], []
    for size, extent, stride, step in zip(shape[1:3], window, layer.strides, dilation, strict=True):
        _refuse(layer, size is None, "pictures of any size")
        reach = (extent - 1) * step + 1
        total = max((ceil(int(size or 0) / stride) - 1) * stride + reach - int(size or 0), 0)
        before.append(total // 2)
        behind.append(total - total // 2)
    return before + behind


def _pooling(graph: Graph, layer: Any, arguments: Sequence[Any], shape: tuple[int | None, ...]) -> Value:
    (value,) = arguments
    kind = "MaxPool" if type(layer).__name__.startswith("Max") else "AveragePool"
    pads = _pads(layer, value.shape, layer.pool_size, (1, 1))
    window, strides = list(layer.pool_size), list(layer.strides)
    return Value(shape, first=graph.add(kind, [graph.first(value)], kernel_shape=window, strides=strides, pads=pads))


def _global_average(graph: Graph, layer: Any, arguments: Sequence[Any], shape: tuple[int | None, ...]) -> Value:
    name = graph.add("ReduceMean", [graph.last(arguments[0])], axes=[1, 2], keepdims=int(layer.keepdims))
    return Value(shape, last=name)


def _dense(graph: Graph, layer: Any, arguments: Sequence[Any], shape: tuple[int | None, ...]) -> Value:
    name = graph.add("MatMul", [graph.last(arguments[0]), graph.constant(np.asarray(layer.kernel))])
    if layer.use_bias:
        name = graph.add("Add", [name, graph.constant(np.asarray(layer.bias))])
    return _activated(graph, layer, layer.activation, Value(shape, last=name))


def _batch_norm(graph: Graph, layer: Any, arguments: Sequence[Any], shape: tuple[int | None, ...]) -> Value:
    _refuse(layer, layer.axis not in (-1, len(shape) - 1) or len(shape) not in (2, 4), "that axis")
    channels = int(shape[-1] or 0)
    scale = np.asarray(layer.gamma) if layer.scale else np.ones(channels)
    offset = np.asarray(layer.beta) if layer.center else np.zeros(channels)
    arrays = [scale, offset, np.asarray(layer.moving_mean), np.asarray(layer.moving_variance)]
    picture = len(shape) == 4
    inputs = [graph.first(arguments[0]) if picture else graph.last(arguments[0]), *map(graph.constant, arrays)]
    name = graph.add("BatchNormalization", inputs, epsilon=float(layer.epsilon))
    return Value(shape, first=name) if picture else Value(shape, last=name)


def _relu(graph: Graph, layer: Any, arguments: Sequence[Any], shape: tuple[int | None, ...]) -> Value:
    _refuse(layer, bool(layer.negative_slope) or bool(layer.threshold), "a slope or a threshold")
    if layer.max_value is None:
        return _alike(graph, "Relu", arguments[0])
    return _alike(graph, "Clip", arguments[0], graph.constant(0.0), graph.constant(float(layer.max_value)))


def _activation(graph: Graph, layer: Any, arguments: Sequence[Any], shape: tuple[int | None, ...]) -> Value:
    return _activated(graph, layer, layer.activation, arguments[0])


_ACTIVATIONS = {"relu": "Relu", "sigmoid": "Sigmoid", "tanh": "Tanh", "elu": "Elu", "softplus": "Softplus"}


def _activated(graph: Graph, layer: Any, activation: Any, value: Value) -> Value:
    name = getattr(activation, "__name__", str(activation))
    if name == "linear":
        return value
    if name == "relu6":
        return _alike(graph, "Clip", value, graph.constant(0.0), graph.constant(6.0))
    if name == "softmax":
        return Value(value.shape, last=graph.add("Softmax", [graph.last(value)], axis=-1))
    _refuse(layer, name not in _ACTIVATIONS, f"the activation {name}")
    return _alike(graph, _ACTIVATIONS[name], value)


def _alike(graph: Graph, kind: str, value: Value, *further: str) -> Value:
    """Write an operator that treats every number alike, whichever way round the value is."""
    if value.first is not None:
        return Value(value.shape, first=graph.add(kind, [value.first, *further]))
    return Value(value.shape, last=graph.add(kind, [graph.last(value), *further]))


def _rescaling(graph: Graph, layer: Any, arguments: Sequence[Any], shape: tuple[int | None, ...]) -> Value:
    _refuse(layer, np.ndim(layer.scale) > 0 or np.ndim(layer.offset) > 0, "a scale for each channel")
    scaled = _alike(graph, "Mul", arguments[0], graph.constant(float(layer.scale)))
    return _alike(graph, "Add", scaled, graph.constant(float(layer.offset)))


def _same(graph: Graph, layer: Any, arguments: Sequence[Any], shape: tuple[int | None, ...]) -> Value:
    return Value(shape, arguments[0].last, arguments[0].first)


def _reshape(graph: Graph, layer: Any, arguments: Sequence[Any], shape: tuple[int | None, ...]) -> Value:
    sizes = graph.integers(0, *(-1 if side is None else side for side in shape[1:]))
    return Value(shape, last=graph.add("Reshape", [graph.last(arguments[0]), sizes]))


def _concatenate(graph: Graph, layer: Any, arguments: Sequence[Any], shape: tuple[int | None, ...]) -> Value:
    (values,) = arguments
    axis = layer.axis % len(shape)
    if len(shape) == 4 and axis == 3 and all(value.first for value in values):
        return Value(shape, first=graph.add("Concat", [value.first for value in values], axis=1))
    return Value(shape, last=graph.add("Concat", [graph.last(value) for value in values], axis=axis))


def _joined(kind: str) -> Writer:
    def write(graph: Graph, layer: Any, arguments: Sequence[Any], shape: tuple[int | None, ...]) -> Value:
        values = arguments[0] if isinstance(arguments[0], (list, tuple)) else arguments
        _refuse(layer, len(values) != 2, f"{len(values)} inputs")
        if all(value.first and len(value.shape) == 4 for value in values):
            return Value(shape, first=graph.add(kind, [value.first for value in values]))
        return Value(shape, last=graph.add(kind, [graph.last(value) for value in values]))

    return write


def _part(graph: Graph, layer: Any, arguments: Sequence[Any], shape: tuple[int | None, ...]) -> Value:
    """Write ``value[..., 1:]`` and the like: plain slices, one for each axis that is named."""
    value, key = arguments
    keys = list(key) if isinstance(key, (list, tuple)) else [key]
    whole = slice(None)
    if Ellipsis in keys:
        at = keys.index(Ellipsis)
        keys[at : at + 1] = [whole] * (len(value.shape) - len(keys) + 1)
    plain = all(isinstance(part, slice) and (part.step or 1) == 1 for part in keys)
    _refuse(layer, not plain, "such an index")
    axes = [axis for axis, part in enumerate(keys) if part != whole]
    starts = graph.integers(*(keys[axis].start or 0 for axis in axes))
    ends = graph.integers(*(np.iinfo(np.int64).max if keys[axis].stop is None else keys[axis].stop for axis in axes))
    return Value(shape, last=graph.add("Slice", [graph.last(value), starts, ends, graph.integers(*axes)]))


def _refuse(layer: Any, unfit: bool, what: str) -> None:
    if unfit:
        raise ExportError(f"Layer '{layer.name}' has {what}, which is not written to ONNX. Use the SavedModel.")


_WRITERS: dict[str, Writer] = {
    "Activation": _activation,
    "Add": _joined("Add"),
    "AveragePooling2D": _pooling,
    "BatchNormalization": _batch_norm,
    "Concatenate": _concatenate,
    "Conv2D": _convolution,
    "Dense": _dense,
    "DepthwiseConv2D": _convolution,
    "Dropout": _same,
    "Flatten": _reshape,
    "GetItem": _part,
    "GlobalAveragePooling2D": _global_average,
    "MaxPooling2D": _pooling,
    "Maximum": _joined("Max"),
    "Multiply": _joined("Mul"),
    "ReLU": _relu,
    "Rescaling": _rescaling,
    "Reshape": _reshape,
    "SpatialDropout2D": _same,
    "Subtract": _joined("Sub"),
}
