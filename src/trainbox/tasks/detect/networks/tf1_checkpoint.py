"""Arrays of TensorFlow 1 checkpoints by the names our layers carry.

Reading the checkpoint's files belongs to ``export.arrays``; here names are looked up and shapes compared.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import keras
import numpy as np

from trainbox.errors import ModelFileError

BATCH_NORM = {"gamma": "gamma", "beta": "beta", "moving_mean": "moving_mean", "moving_variance": "moving_variance"}
DETECTOR_SCOPE = "FeatureExtractor/"
"""A classifier's checkpoint carries the backbone without the detector's scope."""


@dataclass(frozen=True)
class Imported:
    """What an import did: weights set, and layers left as they were, with the reason."""

    assigned: int
    fresh: tuple[str, ...]


def variable_name(layer: keras.Layer, variable: str) -> str:
    """Return the name of a layer's variable in a checkpoint."""
    scope = layer.name.replace(".", "/")
    if isinstance(layer, keras.layers.BatchNormalization):
        return f"{scope}/{BATCH_NORM[variable]}"
    if isinstance(layer, keras.layers.DepthwiseConv2D):
        return f"{scope}/depthwise_weights"
    return f"{scope}/{'weights' if variable == 'kernel' else 'biases'}"


def find(arrays: Mapping[str, np.ndarray], name: str) -> np.ndarray | None:
    """Look a variable up, also under the scope of a bare classifier."""
    array = arrays.get(name)
    return arrays.get(name.removeprefix(DETECTOR_SCOPE)) if array is None else array


def assign(network: keras.Model, arrays: Mapping[str, np.ndarray]) -> Imported:
    """Copy arrays into a network by name.

    The class predictors start anew where the number of classes differs. Any other tensor of another shape raises
    ModelFileError naming it; layers that the checkpoint lacks stay as they are and are listed.
    """
    assigned, fresh = 0, []
    for layer in network.layers:
        for variable in layer.weights:
            name = variable_name(layer, variable.name)
            array = find(arrays, name)
            if array is None or (array.shape != tuple(variable.shape) and name.split("/")[-2] == "ClassPredictor"):
                fresh.append(name)
            elif array.shape != tuple(variable.shape):
                raise ModelFileError(
                    f"Tensor '{name}' of the checkpoint does not fit. Received: shape {list(array.shape)}; "
                    f"the network has {list(variable.shape)}. Check depth_multiplier and the kind of network."
                )
            else:
                variable.assign(array)
                assigned += 1
    if not assigned:
        raise ModelFileError(
            f"The checkpoint holds no tensor of this network. Received: {', '.join(sorted(arrays)[:3]) or 'nothing'}..."
        )
    return Imported(assigned, tuple(fresh))
