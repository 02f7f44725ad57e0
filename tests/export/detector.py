"""A detector of a few thousand parameters on pictures of 32 pixels: two feature maps, three classes."""

from typing import Any

import numpy as np

from trainbox.export.bundle import Deployable
from trainbox.export.detection_ending import DetectionEnding

SIZE, CLASSES = 32, 3
LABELS = ("cat", "traffic  light", "Ä dog")
KINDS = {
    "model.tflite": ("tflite", 1e-4),
    "model_dynamic.tflite": ("tflite_dynamic", None),
    "model_quantized.tflite": ("tflite_int8", None),
    "saved_model": ("saved_model", 1e-4),
    "model.onnx": ("onnx", 1e-4),
}


def anchors() -> np.ndarray:
    """Return two boxes at each cell of an 8x8 and a 4x4 grid: float32 (160, 4)."""
    rows = []
    for cells in (8, 4):
        for y in range(cells):
            for x in range(cells):
                rows += [((y + 0.5) / cells, (x + 0.5) / cells, side, side / 1.5) for side in (2 / cells, 3 / cells)]
    return np.array(rows, np.float32)


def ending(**settings: Any) -> DetectionEnding:
    """Return an ending that overlaps, the number of detections and the score all cut something off of."""
    return DetectionEnding(anchors(), CLASSES, LABELS, **{"maximum_detections": 20, "score_threshold": 0.3} | settings)


def network(seed: int = 4) -> Any:
    """Return a network with batch norm and relu6 whose scores spread over 0 to 1."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(seed)
    image = keras.Input((SIZE, SIZE, 3), name="image")
    x, encodings, logits = image, [], []
    for number, stride in enumerate((2, 2, 2)):
        x = layers.Conv2D(12, 3, stride, padding="same", use_bias=False, name=f"conv_{number}")(x)
        x = layers.DepthwiseConv2D(3, padding="same", use_bias=False, name=f"depthwise_{number}")(x)
        x = layers.BatchNormalization(epsilon=1e-3, name=f"norm_{number}")(x)
        x = layers.ReLU(6.0, name=f"relu_{number}")(x)
        if number > 0:
            encodings.append(layers.Reshape((-1, 4))(layers.Conv2D(8, 1, name=f"boxes_{number}")(x)))
            logits.append(layers.Reshape((-1, CLASSES + 1))(layers.Conv2D(8, 1, name=f"classes_{number}")(x)))
    scores = layers.Activation("sigmoid", name="scores")(layers.Concatenate(axis=1)(logits)[..., 1:])
    outputs = {"encodings": layers.Concatenate(axis=1, name="encodings")(encodings), "scores": scores}
    made = keras.Model(image, outputs, name="tiny")
    _spread(made)
    return made


def _spread(made: Any) -> None:
    """Give each batch norm statistics of its own, and the classes large weights, as training does."""
    random = np.random.default_rng(11)
    for layer in made.layers:
        arrays = layer.get_weights()
        if layer.name.startswith("norm"):
            layer.set_weights([random.uniform(low, high, arrays[0].shape) for low, high in _NORM])
        if layer.name.startswith("classes"):
            layer.set_weights([arrays[0] * 3, random.uniform(-1.5, 0, arrays[1].shape)])


_NORM = ((0.8, 1.5), (-0.3, 0.6), (-0.2, 0.2), (0.05, 0.4))
"""Gamma, beta, mean and variance: from, to."""


def pictures(count: int = 5) -> dict[str, np.ndarray]:
    """Return pictures of exact pixels, as float32 -1 to 1; none is as bright as white or as dark as black."""
    random = np.random.default_rng(6)
    low = random.integers(20, 220, (count, 8, 8, 3)).repeat(4, axis=1).repeat(4, axis=2)
    return {"image": ((low + random.integers(0, 16, low.shape)) / 127.5 - 1).astype(np.float32)}


def deployables(*files: str, **settings: Any) -> list[Deployable]:
    """Return the model files of those names, ending in detections."""
    return [
        Deployable(
            file,
            KINDS[file][0],
            pictures(),
            KINDS[file][1],
            ending=ending(**settings),
            integer_input=KINDS[file][0] == "tflite_int8",
        )
        for file in files or KINDS
    ]
