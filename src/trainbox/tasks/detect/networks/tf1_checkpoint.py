"""Arrays by the names of TensorFlow 1 checkpoints, which are the names our layers carry.

Reading a checkpoint's files belongs to ``export.arrays``; here names are looked up and shapes compared. Arrays of other
kinds of files are brought to these names first, by ``pretrained``.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import keras
import numpy as np

from trainbox.errors import ModelFileError

DETECTOR_SCOPE = "FeatureExtractor/"
"""A classifier's checkpoint carries the backbone without the detector's scope."""
CLASS_HEAD = "/ClassPredictor/"


@dataclass(frozen=True)
class Imported:
    """What an import did: weights set, and those left as they were, by name.

    ``folded``: the file has no batch norm that does anything. A network that keeps its own is to be re-estimated.
    """

    assigned: int
    fresh: tuple[str, ...]
    kind: str = "TensorFlow 1 detector"
    folded: bool = False
    class_head_fresh: bool = False

    def sentences(self) -> tuple[str, ...]:
        """Say what was imported, and what starts anew."""
        said = [f"Start from a {self.kind}: {self.assigned} arrays taken from it."]
        others = [name for name in self.fresh if CLASS_HEAD not in name]
        if self.class_head_fresh and not self.kind.endswith("backbone"):
            said.append("Its classes are others, so the class predictors start anew.")
        if others:
            said.append(f"{len(others)} arrays are not in it and start anew: {', '.join(_scopes(others))}.")
        if self.folded:
            said.append("Its batch norm is folded into its convolutions.")
        return tuple(said)


def _scopes(names: list[str]) -> list[str]:
    """Return the parts of the network that the names stand in: at most six."""
    parts = list(dict.fromkeys("/".join(name.split("/")[:3]).removesuffix("/weights") for name in names))
    return parts if len(parts) <= 6 else [*parts[:5], f"and {len(parts) - 5} more"]


def variable_name(layer: keras.Layer, variable: str) -> str:
    """Return the name of a layer's variable in a checkpoint."""
    scope = layer.name.replace(".", "/")
    if isinstance(layer, keras.layers.BatchNormalization):
        return f"{scope}/{variable}"
    if variable == "bias":
        return f"{scope}/biases"
    return f"{scope}/{'depthwise_weights' if isinstance(layer, keras.layers.DepthwiseConv2D) else 'weights'}"


def variables(network: keras.Model) -> dict[str, keras.Variable]:
    """Return the network's variables by their names in a checkpoint."""
    return {variable_name(layer, variable.name): variable for layer in network.layers for variable in layer.weights}


def named_arrays(network: keras.Model) -> dict[str, np.ndarray]:
    """Return the network's arrays as a checkpoint would name them."""
    return {name: keras.ops.convert_to_numpy(variable) for name, variable in variables(network).items()}


def find(arrays: Mapping[str, np.ndarray], name: str) -> np.ndarray | None:
    """Look a variable up, also under the scope of a bare classifier."""
    array = arrays.get(name)
    return arrays.get(name.removeprefix(DETECTOR_SCOPE)) if array is None else array


def assign(network: keras.Model, arrays: Mapping[str, np.ndarray]) -> Imported:
    """Copy arrays into a network by name; nothing is copied unless all that is to be copied fits.

    The class predictors start anew, all of them, where one is missing or of another number of classes. Any other tensor
    of another shape, or with values that are not finite, raises ModelFileError naming it; those that the checkpoint
    lacks stay as they are and are listed.
    """
    wanted = variables(network)
    found = {name: array for name in wanted if (array := find(arrays, name)) is not None}
    heads = [name for name in wanted if CLASS_HEAD in name]
    anew = any(name not in found or found[name].shape != tuple(wanted[name].shape) for name in heads)
    if anew:
        found = {name: array for name, array in found.items() if name not in heads}
    if not found:
        raise ModelFileError(
            f"The checkpoint holds no tensor of this network. Received: {', '.join(sorted(arrays)[:3]) or 'nothing'}..."
        )
    for name, array in found.items():
        _compare(name, array, wanted[name])
    for name, array in found.items():
        wanted[name].assign(array)
    fresh = tuple(name for name in wanted if name not in found)
    whole = any(name.startswith("BoxPredictor_") for name in found)
    kind = "TensorFlow 1 detector" if whole else "TensorFlow 1 backbone"
    return Imported(len(found), fresh, kind, class_head_fresh=anew)


def _compare(name: str, array: np.ndarray, variable: keras.Variable) -> None:
    if array.shape != tuple(variable.shape):
        raise ModelFileError(
            f"Tensor '{name}' of the checkpoint does not fit. Received: shape {list(array.shape)}; "
            f"the network has {list(variable.shape)}. Check depth_multiplier and the kind of network."
        )
    if not np.isfinite(array).all():
        raise ModelFileError(f"Tensor '{name}' of the checkpoint has values that are not finite. It is of no use.")
