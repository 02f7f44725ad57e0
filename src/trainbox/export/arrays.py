"""The arrays of a model file and nothing else: no graph of a file from outside is ever built or run.

Keras' own loaders build whatever the file describes, and that has been turned into running code nearly every year.
Here a network of our own making is filled with the arrays that the file holds for its layers.
"""

import json
import math
import re
import zipfile
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from trainbox.errors import ModelFileError
from trainbox.export.hdf5 import Budget, hard_linked, names_attribute, open_hdf5, text_attribute

if TYPE_CHECKING:
    import h5py
    import keras

Arrays = dict[str, tuple[np.ndarray, ...]]
"""A layer's arrays by its name, in the layer's order (a convolution: kernel, bias)."""

ArraysOf = Mapping[str, tuple[np.ndarray, ...]]

_OPTIMIZER = re.compile(r"\.OPTIMIZER_SLOT/|/(Momentum|RMSProp|Adam)(_\d+)?$|^optimizer/")

LARGEST_CONFIG = 16 << 20
LARGEST_FILE = 1 << 30

# Keys of a configuration below which layers stand, and classes that carry code wherever they stand.
_LAYER_KEYS = frozenset({"backward_layer", "cell", "forward_layer", "layer", "layers"})
_CODE = frozenset({"Lambda", "TFSMLayer", "__lambda__", "function"})

# Layers whose meaning their arrays and settings give completely. Lambda, TFSMLayer and whatever is not built into
# Keras can carry code, and a file that has them is none of ours or Donkeycar's. Donkeycar 5.3's memory pilot joins its
# inputs by TensorFlow's own concat.
# fmt: off
ALLOWED_LAYERS = frozenset(
    {
        "Activation", "Add", "Average", "AveragePooling2D", "BatchNormalization", "Bidirectional", "Concatenate",
        "Conv1D", "Conv2D", "Conv2DTranspose", "Conv3D", "Cropping2D", "Dense", "DepthwiseConv2D", "Dropout", "ELU",
        "Flatten", "Functional", "GRU", "GetItem", "GlobalAveragePooling2D", "GlobalMaxPooling2D", "InputLayer", "LSTM",
        "LayerNormalization", "LeakyReLU", "MaxPooling2D", "MaxPooling3D", "Maximum", "Model", "Multiply", "PReLU",
        "Permute", "ReLU", "Rescaling", "Reshape", "SeparableConv2D", "Sequential", "Softmax", "SpatialDropout2D",
        "Subtract", "TFOpLambda concat", "TimeDistributed", "UpSampling2D", "ZeroPadding2D",
    }
)
# fmt: on


def load_arrays(path: Path) -> Arrays:
    """Return the arrays of each layer that has any, in the file's order of layers.

    ``path`` is a bundle (a folder or its .tar.gz), a Keras 3 ``.keras``, or an ``.h5`` of Keras 2 or 3, weights alone
    included. Raise ModelFileError where it is none of these, damaged, or holds anything that is not plain arrays.
    """
    path = Path(path)
    if path.is_dir() or path.name.endswith((".tar.gz", ".tgz")):
        return _bundle_arrays(path)
    if not path.is_file():
        raise ModelFileError(f"Model file {path} does not exist. Give a bundle, a .keras or an .h5 file.")
    if path.stat().st_size > LARGEST_FILE:
        raise ModelFileError(f"Model file {path} has {path.stat().st_size} bytes. At most {LARGEST_FILE} are read.")
    with path.open("rb") as file:
        start = file.read(8)
    if start.startswith(b"\x89HDF\r\n\x1a\n"):
        return _h5_arrays(path.read_bytes(), path.name)
    if start.startswith(b"PK\x03\x04"):
        return _keras_arrays(path)
    raise ModelFileError(f"Model file {path} is neither HDF5 nor a zip. Give a bundle, a .keras or an .h5 file.")


def load_checkpoint(prefix: Path) -> dict[str, np.ndarray]:
    """Return the tensors of a TensorFlow 1 or 2 checkpoint by their names there, float32, the optimizer's left out.

    ``prefix`` is the path without ".index". TensorFlow reads it as a table of arrays; no graph is touched. Raise
    ModelFileError where it is damaged, incomplete or larger than 1 GiB.
    """
    import tensorflow as tf

    try:
        reader = tf.train.load_checkpoint(str(prefix))
        types, shapes = reader.get_variable_to_dtype_map(), reader.get_variable_to_shape_map()
        wanted = [name for name in shapes if types[name].is_floating and not _OPTIMIZER.search(name)]
        size = sum(math.prod(shapes[name]) * types[name].size for name in wanted)
        if size > LARGEST_FILE:
            raise ModelFileError(f"Checkpoint {prefix.name} announces {size} bytes. At most {LARGEST_FILE} are read.")
        return {name: np.asarray(reader.get_tensor(name), np.float32) for name in sorted(wanted)}
    except (tf.errors.OpError, LookupError, ValueError, RuntimeError, OSError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise ModelFileError(f"Checkpoint {prefix.name} is damaged or incomplete: {reason}. Copy it again.") from error


def checkpoint_index(prefix: Path) -> Path:
    """Return the file that stands for a TensorFlow checkpoint: it is given by what its files' names start with."""
    return prefix.with_name(f"{prefix.name}.index")


def assign(network: "keras.Model", arrays: ArraysOf, only: Collection[str] | None = None) -> list[str]:
    """Fill ``network`` with arrays by layer name and order, and return the names of the layers filled.

    ``only`` limits it to layers of those names (all where None); each must be in ``arrays`` with the same number of
    arrays and the same shapes. Nothing is assigned unless all fit. Raise ModelFileError naming the tensor otherwise.
    """
    layers = [layer for layer in network.layers if layer.weights and (only is None or layer.name in only)]
    for layer in layers:
        _compare(layer, arrays.get(layer.name))
    for layer in layers:
        layer.set_weights(list(arrays[layer.name]))
    return [layer.name for layer in layers]


def fitting(network: "keras.Model", arrays: ArraysOf) -> list[str]:
    """Return the names of the network's layers that ``arrays`` fit: for ``assign(..., only=...)``."""
    layers = [layer for layer in network.layers if layer.weights]
    return [layer.name for layer in layers if _shapes(layer.weights) == _shapes(arrays.get(layer.name, ()))]


def _shapes(arrays: Iterable[Any]) -> list[tuple[int, ...]]:
    return [tuple(array.shape) for array in arrays]


def _compare(layer: "keras.Layer", arrays: tuple[np.ndarray, ...] | None) -> None:
    names = [f"{layer.name}/{weight.name}" for weight in layer.weights]
    if arrays is None:
        raise ModelFileError(f"Tensor '{names[0]}' is not in the model file. It is a file of another kind of model.")
    if len(arrays) != len(names):
        raise ModelFileError(
            f"Layer '{layer.name}' has {len(arrays)} arrays in the model file, not {', '.join(names)}."
        )
    for name, weight, array in zip(names, layer.weights, arrays, strict=True):
        if tuple(weight.shape) != array.shape:
            shape = tuple(weight.shape)
            raise ModelFileError(f"Tensor '{name}' has shape {array.shape} in the model file, not {shape}.")
        if not np.isfinite(array).all():
            raise ModelFileError(f"Tensor '{name}' has values that are not finite. The model file is of no use.")


def _bundle_arrays(path: Path) -> Arrays:
    from trainbox.export.bundle import Bundle

    with Bundle.open(path) as bundle:
        for name in ("model.keras", "model.h5"):
            if (bundle.folder / name).is_file():
                return load_arrays(bundle.folder / name)
    raise ModelFileError(f"Bundle {path} has neither model.keras nor model.h5 to take arrays from.")


def _keras_arrays(path: Path) -> Arrays:
    try:
        with zipfile.ZipFile(path) as archive:
            config = _member(archive, "config.json", LARGEST_CONFIG)
            content = _member(archive, "model.weights.h5", LARGEST_FILE)
    except (zipfile.BadZipFile, EOFError, OSError, NotImplementedError, RuntimeError) as error:
        raise ModelFileError(f"Model file {path} is a damaged .keras archive: {error}. Save it again.") from error
    layers = _checked_layers(config, path.name)
    with open_hdf5(content, path.name) as file:
        return dict(_keras_3_layers(file, layers, Budget(path.name)))


def _member(archive: zipfile.ZipFile, name: str, limit: int) -> bytes:
    """Read one member, believing neither its announced size nor that there is just one."""
    found = [info for info in archive.infolist() if info.filename == name]
    if len(found) != 1:
        raise ModelFileError(f"Model file {archive.filename} has {len(found)} members '{name}', not 1. Save it again.")
    with archive.open(found[0]) as member:
        content = member.read(limit + 1)
    if len(content) > limit:
        raise ModelFileError(f"Model file {archive.filename}: '{name}' is larger than {limit} bytes.")
    return content


def _checked_layers(config: bytes | str, label: str) -> list[tuple[str, str]]:
    """Return the class and name of each layer of the outermost model; raise ModelFileError where one may carry code."""
    try:
        model = json.loads(config)
        layers = [(str(layer["class_name"]), str(layer["config"]["name"])) for layer in model["config"]["layers"]]
        foreign = sorted(set(_classes(model, "layer")) - ALLOWED_LAYERS)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ModelFileError(f"Model file {label} has no readable list of layers. Save it again with Keras.") from error
    if foreign:
        raise ModelFileError(
            f"Model file {label} has a layer of class {foreign[0]}, which may carry code. Only plain layers are read."
        )
    return layers


def _classes(value: Any, key: str) -> Iterator[str]:
    """Yield the class of every layer in a configuration, and of whatever else is no plain setting, at any depth."""
    if isinstance(value, list):
        for item in value:
            yield from _classes(item, key)
    if isinstance(value, dict):
        name = value.get("class_name")
        if name == "TFOpLambda":  # one of TensorFlow's own functions, by its name
            yield f"TFOpLambda {value['config']['function']}"
        elif name is not None and (key in _LAYER_KEYS or "inbound_nodes" in value or name in _CODE):
            yield str(name)
        for inner_key, inner in value.items():
            yield from _classes(inner, inner_key)


def _h5_arrays(content: bytes, label: str) -> Arrays:
    with open_hdf5(content, label) as file:
        if "model_config" in file.attrs:
            _checked_layers(text_attribute(file, "model_config", LARGEST_CONFIG, label), label)
        root = hard_linked(file, "model_weights", label) if "model_weights" in file else file
        if "layer_names" not in root.attrs and "layers" in root:
            return dict(_keras_3_weights(root, Budget(label)))
        if "layer_names" not in root.attrs:
            raise ModelFileError(f"Model file {label} is no Keras model. Give a bundle, a .keras or an .h5 file.")
        return dict(_keras_2_layers(root, Budget(label)))


def _keras_2_layers(root: "h5py.Group", budget: Budget) -> Iterator[tuple[str, tuple[np.ndarray, ...]]]:
    """Yield each layer that has arrays: Keras 2 lists them, in order, in attributes."""
    for layer in names_attribute(root, "layer_names", budget.label):
        group = hard_linked(root, layer, budget.label)
        names = names_attribute(group, "weight_names", budget.label)
        if names:
            yield layer, tuple(budget.read(group, name) for name in names)


def _keras_3_layers(
    file: "h5py.File", layers: list[tuple[str, str]], budget: Budget
) -> Iterator[tuple[str, tuple[np.ndarray, ...]]]:
    """Yield each layer that has arrays: Keras 3 numbers them below the layer's class, counted in order."""
    seen: Counter[str] = Counter()
    for kind, name in layers:
        stem = _snake_case(kind)
        key = f"{stem}_{seen[stem]}" if seen[stem] else stem
        seen[stem] += 1
        path = f"layers/{key}/vars"
        if path not in file:
            continue
        group = hard_linked(file, path, budget.label)
        numbers = sorted(group, key=lambda number: int(number) if number.isdecimal() else -1)
        if numbers != [str(i) for i in range(len(numbers))]:
            raise ModelFileError(f"Model file {budget.label}: the arrays of '{name}' are not numbered from 0.")
        if numbers:
            yield name, tuple(budget.read(group, number) for number in numbers)


def _keras_3_weights(file: "h5py.File", budget: Budget) -> Iterator[tuple[str, tuple[np.ndarray, ...]]]:
    """Yield what a Keras 3 weights file holds: no names but those of classes, numbered ("conv2d_3")."""
    layers = hard_linked(file, "layers", budget.label)
    for key in sorted(layers):
        layer = hard_linked(layers, key, budget.label)
        group = hard_linked(layer, "vars", budget.label) if "vars" in layer else ()
        numbers = sorted(group, key=lambda number: int(number) if number.isdecimal() else -1)
        if numbers:
            yield key, tuple(budget.read(group, number) for number in numbers)


def _snake_case(name: str) -> str:
    """Return the group that Keras 3 files a class under: BatchNormalization in ``batch_normalization``."""
    name = re.sub(r"\W+", "", name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()
