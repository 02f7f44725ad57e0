"""First weights of a fresh pilot, fitted to its pictures: a start that saves several epochs.

A car's pictures are dark and of little contrast (mean 50, deviation 22 of 255 in one tub). Keras' own first weights
make so little of them that the loss stands still for epochs. Here each hidden layer is scaled so that its answers to
some training pictures have size one (layer-sequential unit variance: Mishkin and Matas, "All you need is a good
init", 2016), the first layer takes the pictures' mean and deviation into its kernel and bias, and the outputs begin
at what is driven on average. The network stays what it is; only where it starts differs.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from trainbox.tasks.drive.examples import DriveExamples

if TYPE_CHECKING:
    import keras

LOOKED_AT = 256
OUTPUT_SCALE = 0.1
SMALLEST = 1e-3


def start_well(network: "keras.Model", examples: DriveExamples, seed: int) -> None:
    """Draw the network's weights by ``seed`` and scale them by what it answers to some of the ``examples``."""
    from keras import layers, ops

    random = np.random.default_rng([seed, 0])
    indices = np.sort(random.permutation(len(examples))[:LOOKED_AT])
    pixels = examples.pixels(indices).astype(np.float32) / 255
    seen = [pixels, examples.memory[indices]][: len(network.inputs)]
    averages = _averages(examples)
    values: dict[int, Any] = {id(end): ops.convert_to_tensor(x) for end, x in zip(network.inputs, seen, strict=True)}
    for layer in network.layers:
        if isinstance(layer, layers.InputLayer):
            continue
        given = [values[id(end)] for end in layer.input] if isinstance(layer.input, list) else values[id(layer.input)]
        if layer.weights:
            _draw(layer, random)
            if layer.name == "conv2d_1":
                _take_in_statistics(layer, pixels)
            if layer.name in averages:
                _begin_at(layer, averages[layer.name])
            else:
                _scale_to_one(layer, layer(given))
        values[id(layer.output)] = layer(given)


def _draw(layer: "keras.layers.Layer", random: np.random.Generator) -> None:
    """Draw a kernel as He and others do for rectified layers; the bias is zero."""
    kernel, bias = layer.get_weights()
    deviation = np.sqrt(2 / np.prod(kernel.shape[:-1]))
    layer.set_weights([random.normal(0, deviation, kernel.shape).astype(np.float32), np.zeros_like(bias)])


def _take_in_statistics(layer: "keras.layers.Layer", pixels: np.ndarray) -> None:
    """Let the layer answer pixels as if each colour had mean 0 and deviation 1."""
    kernel, bias = layer.get_weights()
    mean, deviation = pixels.mean(axis=(0, 1, 2)), np.maximum(pixels.std(axis=(0, 1, 2)), SMALLEST)
    kernel = kernel / deviation[:, None]
    layer.set_weights([kernel, bias - np.einsum("hwco,c->o", kernel, mean)])


def _scale_to_one(layer: "keras.layers.Layer", answers: Any) -> None:
    """Divide kernel and bias so that the root mean square of the layer's answers, which are rectified, is one."""
    from keras import ops

    size = max(float(np.sqrt(np.mean(np.square(ops.convert_to_numpy(ops.cast(answers, "float32")))))), SMALLEST)
    layer.set_weights([weight / size for weight in layer.get_weights()])


def _begin_at(layer: "keras.layers.Layer", average: np.ndarray) -> None:
    """Make an output answer the average at first, and nearly that whatever it sees."""
    kernel, _ = layer.get_weights()
    bias = np.asarray(_before_activation(layer.activation.__name__, average), np.float32)
    layer.set_weights([kernel * OUTPUT_SCALE, bias])


def _before_activation(activation: str, answer: np.ndarray) -> np.ndarray:
    """Return what the activation turns into ``answer``, or nearly so at the ends that it never reaches."""
    match activation:
        case "tanh":
            return np.arctanh(np.clip(answer, -0.99, 0.99))
        case "sigmoid":
            share = np.clip(answer, 0.01, 0.99)
            return np.log(share / (1 - share))
        case "softmax":
            return np.log(answer)
    return answer


def _averages(examples: DriveExamples) -> Mapping[str, np.ndarray]:
    """Return what each output is to answer on average: the mean command (1,), or each bin's share (bins,)."""
    mirrored = -examples.angle if "mirror" in examples.changes else examples.angle
    averages = {}
    for name, _, bins in examples.kind.outputs:
        sums = [examples.targets(angle, examples.throttle)[name].sum(axis=0) for angle in (examples.angle, mirrored)]
        count = sum(sums) / 2
        # Bins that were never driven get half a frame, or their logarithm would be endless.
        averages[name] = (count + 0.5) / (count + 0.5).sum() if bins else count / len(examples)
    return averages
