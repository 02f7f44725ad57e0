"""``model.h5`` in the layout of Keras 2, which the Keras of every Donkeycar reads: TensorFlow 1.15's, 2.15's and 3.

Keras 3 writes .h5 files that Keras 2 refuses, so the configuration and the layout of the arrays are made here.
"""

import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from trainbox.errors import ExportError

if TYPE_CHECKING:
    import h5py
    import keras

KERAS_2 = "2.15.0"
"""The version the file gives as its writer's: Keras reads it to choose how to interpret the arrays."""

# What Keras 2 has to be told of each layer. Everything left out has the same default in Keras 2 and 3, and older
# versions than 2.15 would refuse the newer names.
_SETTINGS: Mapping[str, tuple[str, ...]] = {
    "Activation": ("activation",),
    "Add": (),
    "AveragePooling2D": ("pool_size", "strides", "padding", "data_format"),
    "BatchNormalization": ("axis", "momentum", "epsilon", "center", "scale"),
    "Concatenate": ("axis",),
    "Conv2D": (
        "filters",
        "kernel_size",
        "strides",
        "padding",
        "data_format",
        "dilation_rate",
        "activation",
        "use_bias",
    ),
    "Cropping2D": ("cropping", "data_format"),
    "Dense": ("units", "activation", "use_bias"),
    "Dropout": ("rate",),
    "Flatten": (),
    "GlobalAveragePooling2D": ("data_format",),
    "MaxPooling2D": ("pool_size", "strides", "padding", "data_format"),
    "ReLU": ("max_value",),
    "Reshape": ("target_shape",),
    "SpatialDropout2D": ("rate",),
    "ZeroPadding2D": ("padding", "data_format"),
}
_ACTIVATIONS = frozenset({"elu", "linear", "relu", "selu", "sigmoid", "softmax", "softplus", "softsign", "tanh"})
# The order in which Keras 2 keeps a layer's arrays, which is Keras 3's order too for these layers.
_ARRAYS: Mapping[str, tuple[str, ...]] = {
    "BatchNormalization": ("gamma", "beta", "moving_mean", "moving_variance"),
    "Conv2D": ("kernel", "bias"),
    "Dense": ("kernel", "bias"),
}


def write_keras_h5(network: "keras.Model", path: Path) -> None:
    """Write ``network`` (functional, float32) as Keras 2 would; raise ExportError naming a layer it cannot hold."""
    import h5py

    # Written in memory first: HDF5 takes its process down where the disk is full.
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        _fill(file, network)
    path.write_bytes(content.getvalue())


def _fill(file: "h5py.File", network: "keras.Model") -> None:
    config = keras_2_config(network)
    file.attrs["model_config"] = np.bytes_(json.dumps(config))
    arrays = file.create_group("model_weights")
    for group in (file, arrays):
        # Bytes, because Keras before 2.3 decodes whatever it reads; later ones decode where they can.
        group.attrs["backend"] = np.bytes_("tensorflow")
        group.attrs["keras_version"] = np.bytes_(KERAS_2)
    names = [layer["name"] for layer in config["config"]["layers"]]
    arrays.attrs["layer_names"] = np.array([name.encode() for name in names])
    for name in names:
        _write_layer(arrays.create_group(name), network.get_layer(name))


def keras_2_config(network: "keras.Model") -> dict[str, Any]:
    """Return Keras 2's ``model_config`` of a functional network; raise ExportError naming a layer it cannot hold."""
    config = network.get_config()
    layers = [_layer(layer, network) for layer in config["layers"]]
    return {
        "class_name": "Model",  # Keras' name for it before TensorFlow 2.2, which every later one understands too
        "config": {
            "name": network.name,
            "trainable": True,
            "layers": layers,
            "input_layers": _references(config["input_layers"]),
            "output_layers": _references(config["output_layers"]),
        },
    }


def _layer(config: Mapping[str, Any], network: "keras.Model") -> dict[str, Any]:
    """Describe one layer, given Keras 3's description of it."""
    kind, name, settings = config["class_name"], config["name"], config["config"]
    if kind == "InputLayer":
        shape = list(settings["batch_shape"])
        described = {"batch_input_shape": shape, "dtype": "float32", "sparse": False, "name": name}
        return {"class_name": kind, "config": described, "name": name, "inbound_nodes": []}
    if kind not in _SETTINGS:
        raise ExportError(f"model.h5 cannot hold layer '{name}' of class {kind}. Held: {', '.join(_SETTINGS)}.")
    if settings.get("groups", 1) != 1:
        raise ExportError(f"model.h5 cannot hold layer '{name}': it has {settings['groups']} groups, not 1.")
    if settings.get("data_format", "channels_last") != "channels_last":
        raise ExportError(f"model.h5 cannot hold layer '{name}': its channels come first, cars' come last.")
    described = {key: _plain(settings[key], name) for key in _SETTINGS[kind] if key in settings}
    nodes = [_inbound(node, name) for node in config["inbound_nodes"]]
    return {
        "class_name": kind,
        "config": {"name": name, "trainable": True, "dtype": "float32"} | described,
        "name": name,
        "inbound_nodes": nodes,
    }


def _plain(value: Any, layer: str) -> Any:
    """Return a setting as Keras 2 wrote it; raise ExportError where it is an object of Keras 3."""
    if isinstance(value, Mapping):
        value = value.get("config", value)
    if isinstance(value, str) and value in _ACTIVATIONS | {"channels_last", "same", "valid"}:
        return value
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, (list, tuple)):
        return [_plain(item, layer) for item in value]
    raise ExportError(f"model.h5 cannot hold layer '{layer}': Keras 2 has no setting {value!r}.")


def _inbound(node: Mapping[str, Any], layer: str) -> list[list[Any]]:
    """Turn one call of a layer from nested arguments into ``[[layer, node, tensor, {}], ...]``."""
    histories = list(_histories(node["args"]))
    if not histories:
        raise ExportError(f"model.h5 cannot hold layer '{layer}': it is not called with tensors alone.")
    return [[*history, {}] for history in histories]


def _histories(arguments: Any) -> Iterator[list[Any]]:
    if isinstance(arguments, Mapping):
        if arguments.get("class_name") == "__keras_tensor__":
            yield list(arguments["config"]["keras_history"])
        return
    if isinstance(arguments, (list, tuple)):
        for argument in arguments:
            yield from _histories(argument)


def _references(value: Any) -> list[list[Any]]:
    """Return a model's ends as a list of ``[layer, node, tensor]``, also where there is but one."""
    if value and isinstance(value[0], str):
        return [list(value)]
    return [list(reference) for reference in value]


def _write_layer(group: "h5py.Group", layer: "keras.Layer") -> None:
    """Write a layer's arrays as ``layer/kernel:0``... with their order in the attribute ``weight_names``."""
    weights = layer.get_weights()
    if not weights:
        group.attrs["weight_names"] = np.zeros(0)  # as h5py writes Keras 2's empty list
        return
    names = [name for name in _ARRAYS[type(layer).__name__] if getattr(layer, name, None) is not None]
    if len(names) != len(weights):
        raise ExportError(f"model.h5 cannot hold layer '{layer.name}': {len(weights)} arrays, {len(names)} known.")
    full = [f"{layer.name}/{name}:0" for name in names]
    group.attrs["weight_names"] = np.array([name.encode() for name in full])
    for name, weight in zip(full, weights, strict=True):
        group.create_dataset(name, data=np.asarray(weight, dtype=np.float32))
