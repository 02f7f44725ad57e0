"""The networks a Donkeycar drives with: layer names, output names and their order are what the car looks for.

Every network takes ``img_in`` (120, 160, 3) float32, RGB. All but ``robocars`` take 0..1, as Donkeycar 3 and later
feed it; ``robocars`` is deployed for 0..255, as Donkeycar 2 fed it. While training every network sees 0..1.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from trainbox.tasks.drive.bins import ANGLE_BINS, THROTTLE_BINS

if TYPE_CHECKING:
    import keras

HEIGHT, WIDTH = 120, 160
PIXEL_RANGE = 255.0

Dropout = Literal["car", "dense", "none"]


@dataclass(frozen=True)
class PilotKind:
    """What sets one pilot apart from the others.

    ``outputs`` are the output layers in order, each with the quantity it answers ("angle" or "throttle") and its
    bins (None where it is one number). ``pixel_range`` is the largest pixel value the deployed network is fed.
    """

    name: str
    outputs: tuple[tuple[str, str, int | None], ...]
    conv4_stride: int = 1
    conv_dropout: float = 0.2
    dense_dropout: float = 0.2
    memory_dropout: float = 0.1
    remembers: bool = False
    pixel_range: float = 1.0

    @property
    def output_names(self) -> tuple[str, ...]:
        """The output layers' names, in the order of the model."""
        return tuple(name for name, _, _ in self.outputs)


_PAIR = (("n_outputs0", "angle", None), ("n_outputs1", "throttle", None))

KINDS = {
    kind.name: kind
    for kind in (
        PilotKind("linear", _PAIR),
        PilotKind(
            "categorical",
            (("angle_out", "angle", ANGLE_BINS), ("throttle_out", "throttle", THROTTLE_BINS)),
            conv4_stride=2,
        ),
        PilotKind("inferred", _PAIR[:1]),
        PilotKind("memory", _PAIR, remembers=True),
        PilotKind(
            "robocars",
            (("angle_out", "angle", ANGLE_BINS), ("throttle_out", "throttle", None)),
            conv4_stride=2,
            conv_dropout=0.0,
            dense_dropout=0.1,
            pixel_range=PIXEL_RANGE,
        ),
    )
}


def build(pilot: str, memory_length: int = 3, *, dropout: Dropout = "car") -> "keras.Model":
    """Build the untrained network of a pilot, with the car's dropout, that between its dense layers only, or without.

    Inputs: ``img_in`` (n, 120, 160, 3); ``memory`` also ``mem_in`` (n, 2 * memory_length), the last commands as
    angle, throttle, oldest first. Outputs: a list in the order of ``KINDS[pilot].outputs``, each (n, 1) or (n, bins).
    """
    import keras

    kind = _with_dropout(KINDS[pilot], dropout)
    image = keras.Input((HEIGHT, WIDTH, 3), name="img_in")
    features = _see(image, kind)
    inputs = [image]
    if kind.remembers:
        memory = keras.Input((2 * memory_length,), name="mem_in")
        features = keras.layers.Concatenate(name="concatenate")([features, _remember(memory, memory_length, kind)])
        inputs.append(memory)
    features = _decide(features, kind)
    outputs = [_answer(features, kind, name, quantity, bins) for name, quantity, bins in kind.outputs]
    return keras.Model(inputs, outputs, name=pilot)


def _with_dropout(kind: PilotKind, dropout: Dropout) -> PilotKind:
    if dropout == "car":
        return kind
    kind = replace(kind, conv_dropout=0.0)
    return kind if dropout == "dense" else replace(kind, dense_dropout=0.0, memory_dropout=0.0)


def _see(image: "keras.KerasTensor", kind: PilotKind) -> "keras.KerasTensor":
    """Five convolutions, flattened."""
    from keras import layers

    layout: Sequence[tuple[int, int, int]] = (
        (24, 5, 2),
        (32, 5, 2),
        (64, 5, 2),
        (64, 3, kind.conv4_stride),
        (64, 3, 1),
    )
    x = image
    for number, (filters, kernel, stride) in enumerate(layout, start=1):
        x = layers.Conv2D(filters, kernel, strides=stride, activation="relu", name=f"conv2d_{number}")(x)
        if kind.conv_dropout:
            x = layers.Dropout(kind.conv_dropout, name=f"dropout_conv_{number}")(x)
    return layers.Flatten(name="flattened")(x)


def _remember(memory: "keras.KerasTensor", length: int, kind: PilotKind) -> "keras.KerasTensor":
    """Narrow the last commands by one pair a layer, as the car's memory pilot does."""
    from keras import layers

    y = memory
    for step in range(1, length):
        y = layers.Dense(2 * (length - step), activation="relu", name=f"mem_c_{step}")(y)
        if kind.memory_dropout:
            y = layers.Dropout(kind.memory_dropout, name=f"dropout_mem_{step}")(y)
    return y


def _decide(features: "keras.KerasTensor", kind: PilotKind) -> "keras.KerasTensor":
    from keras import layers

    x = features
    for number, units in enumerate((100, 50), start=1):
        x = layers.Dense(units, activation="relu", name=f"dense_{number}")(x)
        if kind.dense_dropout:
            x = layers.Dropout(kind.dense_dropout, name=f"dropout_dense_{number}")(x)
    return x


def _answer(
    features: "keras.KerasTensor", kind: PilotKind, name: str, quantity: str, bins: int | None
) -> "keras.KerasTensor":
    from keras import layers

    # Answers stay float32 under mixed precision: bfloat16 tells steering angles apart only by .004.
    activation = "softmax" if bins else _activation(kind, quantity)
    return layers.Dense(bins or 1, activation=activation, dtype="float32", name=name)(features)


def _activation(kind: PilotKind, quantity: str) -> str:
    if kind.remembers:
        return "tanh" if quantity == "angle" else "sigmoid"
    return "relu" if kind.name == "robocars" else "linear"


def deployed(network: "keras.Model", pilot: str, memory_length: int = 3) -> "keras.Model":
    """Return a copy of the network as the car is to load it: with the car's dropout, ``robocars`` for 0..255.

    Training on 0..1 and scaling the first kernel afterwards computes the same answers, where training on 0..255
    would make the first steps of the optimiser 255 times too large.
    """
    return _rescaled(network, pilot, memory_length, 1 / KINDS[pilot].pixel_range)


def trainable(network: "keras.Model", pilot: str, memory_length: int = 3) -> "keras.Model":
    """Undo ``deployed``: return a copy of the network that takes 0..1."""
    return _rescaled(network, pilot, memory_length, KINDS[pilot].pixel_range)


def _rescaled(network: "keras.Model", pilot: str, memory_length: int, factor: float) -> "keras.Model":
    copy = build(pilot, memory_length)
    for layer in copy.layers:
        # By name: the order of layers changes with the dropout among them.
        layer.set_weights(network.get_layer(layer.name).get_weights() if layer.weights else [])
    first = copy.get_layer("conv2d_1")
    kernel, bias = first.get_weights()
    first.set_weights([kernel * factor, bias])
    return copy
