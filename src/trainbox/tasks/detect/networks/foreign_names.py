"""Names of other kinds of model files, brought to those of TensorFlow 1 checkpoints that our layers carry.

TensorFlow 2's object checkpoints and Keras' weights files number layers, so the number of a layer in its list decides.
Sources: the OD API's ``ssd_mobilenet_v{1,2}_keras_feature_extractor``, ``KerasMultiResolutionFeatureMaps`` and
``convolutional_keras_box_predictor``; Keras' ``applications``.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping

import keras
import numpy as np

from trainbox.tasks.detect.networks.ssd import EXTRA_SCOPES

Named = dict[str, np.ndarray]
Layers = Mapping[str, tuple[np.ndarray, ...]]

SUFFIX = "/.ATTRIBUTES/VARIABLE_VALUE"
NORM = ("gamma", "beta", "moving_mean", "moving_variance")
KERNELS = ("kernel", "depthwise_kernel")
_VARIABLE = re.compile(
    r"(?P<list>.+?)(?P<number>\d+)/(?P<variable>kernel|depthwise_kernel|bias|" + "|".join(NORM) + ")"
)
_BACKBONE = re.compile(r"(?:^|/)layer_with_weights-$")
_EXTRA = re.compile(r"(?:^|/)_?feature_map_generator/convolutions/(\d+)/$")
_HEADS = {
    "BoxEncodingPredictor": re.compile(r"/box_encodings/(\d+)/_box_encoder_layers/$"),
    "ClassPredictor": re.compile(r"/class_predictions_with_background/(\d+)/_class_predictor_layers/$"),
}
_POSITIONAL = re.compile(r"(conv2d|depthwise_conv2d|batch_normalization)(?:_(\d+))?")
# Keras' applications: MobileNet's conv_dw_3, MobileNetV2's block_3_depthwise, each followed by its batch norm.
_APPLICATIONS = (
    (r"Conv1", "MobilenetV2/Conv"),
    (r"Conv_1", "MobilenetV2/Conv_1"),
    (r"expanded_conv_(depthwise|project)", r"MobilenetV2/expanded_conv/\1"),
    (r"block_(\d+)_(expand|depthwise|project)", r"MobilenetV2/expanded_conv_\1/\2"),
    (r"conv1", "MobilenetV1/Conv2d_0"),
    (r"conv_dw_(\d+)", r"MobilenetV1/Conv2d_\1_depthwise"),
    (r"conv_pw_(\d+)", r"MobilenetV1/Conv2d_\1_pointwise"),
)


def backbone_scopes(network: keras.Model) -> list[str]:
    """Return the names of the backbone's convolutions in order, depthwise ones included."""
    beyond = tuple(f"{scope}_{part}_Conv2d_" for scope in EXTRA_SCOPES.values() for part in (1, 2))
    kinds = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D)
    layers = [layer for layer in network.layers if isinstance(layer, kinds)]
    return [
        layer.name.replace(".", "/")
        for layer in layers
        if layer.name.startswith("FeatureExtractor.") and not layer.name.startswith(beyond)
    ]


def is_tf2(arrays: Mapping[str, np.ndarray]) -> bool:
    """Tell whether names are those of a TensorFlow 2 object checkpoint."""
    return any(name.endswith(SUFFIX) for name in arrays)


def from_tf2(arrays: Mapping[str, np.ndarray], network: keras.Model) -> Named:
    """Return the arrays of an SSD's object checkpoint by our names; what is none of an SSD's is left out."""
    lists: dict[str, dict[int, dict[str, np.ndarray]]] = defaultdict(lambda: defaultdict(dict))
    for name, array in arrays.items():
        match = _VARIABLE.fullmatch(name.removesuffix(SUFFIX))
        if match:
            lists[match["list"]][int(match["number"])][match["variable"]] = array
    named: Named = {}
    for name, numbered in lists.items():
        layers = [numbered[number] for number in sorted(numbered)]
        named |= _named_list(name, layers, network)
    return named


def from_layers(layers: Layers, network: keras.Model) -> tuple[Named, str]:
    """Return the arrays of Keras layers by our names, and what kind of file they are of."""
    if any(name.startswith(("FeatureExtractor.", "BoxPredictor_")) for name in layers):
        return dict(_own(layers)), "Trainbox model"
    named = dict(_applications(layers))
    if not named:
        named = dict(_positional(layers, network))
    return named, "Keras backbone"


def _named_list(name: str, layers: list[Named], network: keras.Model) -> Named:
    if _BACKBONE.search(name):
        return _in_order(layers, backbone_scopes(network))
    extra = _EXTRA.search(name)
    if extra:
        return _extra(layers, int(extra[1]), network)
    for head, pattern in _HEADS.items():
        match = pattern.search(name)
        if match:
            return _in_order(layers, _by_kind(layers, f"BoxPredictor_{match[1]}/{head}"))
    return {}


def _extra(layers: list[Named], number: int, network: keras.Model) -> Named:
    """Name one extra feature map's layers: 1x1, then 3x3 or depthwise and 1x1. Names say how many filters they have."""
    kernels = [layer["kernel"] for layer in layers if "kernel" in layer]
    if len(kernels) != 2:
        return {}
    narrow, wide = (kernel.shape[-1] for kernel in kernels)
    is_v1 = any("/MobilenetV1/" in scope for scope in backbone_scopes(network)[:1])
    scope = EXTRA_SCOPES["mobilenet_v1" if is_v1 else "mobilenet_v2"].replace(".", "/")
    first = f"{scope}_1_Conv2d_{number}_1x1_{narrow}"
    return _in_order(layers, [first, *_by_kind(layers, f"{scope}_2_Conv2d_{number}_3x3_s2_{wide}")[1:]])


def _by_kind(layers: list[Named], scope: str) -> list[str]:
    """Return the scope of each convolution among the layers: the depthwise ones have a name of their own."""
    convolutions = [layer for layer in layers if any(kernel in layer for kernel in KERNELS)]
    return [f"{scope}_depthwise" if "depthwise_kernel" in layer else scope for layer in convolutions]


def _in_order(layers: list[Named], scopes: list[str]) -> Named:
    """Give each convolution the next scope, and each batch norm the scope of the convolution before it."""
    named: Named = {}
    left, scope = iter(scopes), None
    for layer in layers:
        if any(kernel in layer for kernel in KERNELS):
            scope = next(left, None)
        if scope is not None:
            named |= {f"{scope}/{_last(variable)}": array for variable, array in layer.items()}
    return named


def _last(variable: str) -> str:
    if variable in NORM:
        return f"BatchNorm/{variable}"
    return {"kernel": "weights", "depthwise_kernel": "depthwise_weights", "bias": "biases"}[variable]


def _own(layers: Layers) -> Iterator[tuple[str, np.ndarray]]:
    for name, arrays in layers.items():
        scope = name.replace(".", "/")
        if scope.endswith("/BatchNorm"):
            yield from _variables(scope.removesuffix("/BatchNorm"), NORM, arrays)
        else:
            yield from _variables(scope, _convolution(scope.endswith("depthwise")), arrays)


def _applications(layers: Layers) -> Iterator[tuple[str, np.ndarray]]:
    for name, arrays in layers.items():
        stem = re.sub(r"^bn_(?=Conv1$)|_(BN|bn)$", "", name)
        for pattern, scope in _APPLICATIONS:
            match = re.fullmatch(pattern, stem)
            if match:
                scope = match.expand(scope)
                variables = NORM if stem != name else _convolution(scope.endswith("depthwise"))
                yield from _variables(f"FeatureExtractor/{scope}", variables, arrays)


def _positional(layers: Layers, network: keras.Model) -> Iterator[tuple[str, np.ndarray]]:
    """Name layers that a Keras 3 weights file numbers by class."""
    scopes = backbone_scopes(network)
    depthwise = [scope for scope in scopes if scope.endswith("depthwise")]
    of_class = {
        "conv2d": [scope for scope in scopes if not scope.endswith("depthwise")],
        "depthwise_conv2d": depthwise,
        "batch_normalization": scopes,
    }
    for name, arrays in layers.items():
        match = _POSITIONAL.fullmatch(name)
        if match and int(match[2] or 0) < len(of_class[match[1]]):
            scope = of_class[match[1]][int(match[2] or 0)]
            variables = NORM if match[1] == "batch_normalization" else _convolution(scope in depthwise)
            yield from _variables(scope, variables, arrays)


def _convolution(depthwise: bool) -> tuple[str, str]:
    return ("depthwise_kernel" if depthwise else "kernel", "bias")


def _variables(
    scope: str, variables: tuple[str, ...], arrays: tuple[np.ndarray, ...]
) -> Iterator[tuple[str, np.ndarray]]:
    yield from ((f"{scope}/{_last(name)}", array) for name, array in zip(variables, arrays, strict=False))
