"""The network as the files hold it: float32, its ends flat; and ``model.keras``, Keras 3's own file."""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from trainbox.errors import ExportError

if TYPE_CHECKING:
    import keras

BATCH = 64


def float32_copy(network: "keras.Model") -> "keras.Model":
    """Return a copy of a functional network that computes in float32 and takes a list of tensors.

    Training may compute in bfloat16 and share the network's variables with a larger model; a car computes in float32,
    and every file is compared with this copy. Raise ExportError where the network is not a functional one.
    """
    import keras

    try:
        config = _as_float32(network.get_config())
        copy = type(network).from_config(config)
        flat = keras.Model(list(copy.inputs), list(copy.outputs), name=network.name)
    except (AttributeError, NotImplementedError, TypeError, ValueError) as error:
        raise ExportError(f"Network '{network.name}' is no functional Keras model ({error}).") from error
    copy.set_weights(network.get_weights())
    return flat


def _as_float32(config: Any) -> Any:
    """Replace every dtype policy in a configuration by float32."""
    if isinstance(config, dict):
        return {
            key: "float32" if key == "dtype" and value is not None else _as_float32(value)
            for key, value in config.items()
        }
    if isinstance(config, (list, tuple)):
        return type(config)(_as_float32(value) for value in config)
    return config


def input_names(network: "keras.Model") -> list[str]:
    """Return the names of the network's inputs, in its order."""
    return [tensor.name for tensor in network.inputs]


def output_names(network: "keras.Model") -> list[str]:
    """Return the names of the network's outputs, in its order: those of the layers that give them."""
    return [str(name) for name in network.output_names]


def call(network: "keras.Model", tensors: list[Any]) -> list[Any]:
    """Call a network with its inputs in order and return its outputs in order, also where there is one of either."""
    import keras

    return list(keras.tree.flatten(network(tensors, training=False)))


def answers(network: "keras.Model", inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return what a network answers: float32 arrays by output name, first axis the examples."""
    ordered = [np.asarray(inputs[name], dtype=np.float32) for name in input_names(network)]
    parts = [
        [np.asarray(part) for part in call(network, [array[start : start + BATCH] for array in ordered])]
        for start in range(0, len(ordered[0]), BATCH)
    ]
    return {name: np.concatenate([part[i] for part in parts]) for i, name in enumerate(output_names(network))}


def write_keras(network: "keras.Model", path: Path) -> None:
    """Write ``network`` as a Keras 3 file (a zip of configuration and arrays) at ``path``, which ends in .keras."""
    with quiet():
        network.save(path)


@contextmanager
def quiet() -> Iterator[None]:
    """Mute Python warnings of Keras' and TensorFlow's writers about each other: nobody who exports can act on them."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="__array__ implementation", category=DeprecationWarning)
        warnings.filterwarnings(
            "ignore", message=r"\s*Warning: tf.lite.Interpreter is deprecated", category=UserWarning
        )
        yield
