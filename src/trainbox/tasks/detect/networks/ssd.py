"""SSD: a backbone, extra feature maps, and two predictors at each of them."""

from dataclasses import dataclass, field, replace
from typing import Literal

import keras
from keras import ops

from trainbox.tasks.detect.anchors import AnchorSpec
from trainbox.tasks.detect.networks import mobilenet_v1, mobilenet_v2
from trainbox.tasks.detect.networks.blocks import Blocks

Backbone = Literal["mobilenet_v1", "mobilenet_v2"]
EXTRAS = ((256, 512), (128, 256), (128, 256), (64, 128))
"""(1x1 filters, 3x3 filters) of the feature maps below the backbone."""

BACKBONES = {"mobilenet_v1": mobilenet_v1.backbone, "mobilenet_v2": mobilenet_v2.backbone}
EXTRA_SCOPES = {
    "mobilenet_v1": "FeatureExtractor.MobilenetV1.Conv2d_13_pointwise",
    "mobilenet_v2": "FeatureExtractor.MobilenetV2.layer_19",
}


@dataclass(frozen=True)
class SsdSpec:
    """What decides the shape of an SSD network.

    Without ``batch_norm`` convolutions have a bias in its place: the network that ``folding.fold`` makes.
    ``explicit_padding`` puts as many zeros before a strided convolution as behind it. ``tensorflow_2`` matters at a
    ``depth_multiplier`` other than 1: MobileNetV1's backbone is multiplied by it twice, and MobileNetV2 has no shortcut
    in blocks that ``min_depth`` widened. The OD API's TensorFlow 2 checkpoints are of such networks.
    """

    backbone: Backbone = "mobilenet_v2"
    classes: int = 1
    size: tuple[int, int] = (300, 300)
    depth_multiplier: float = 1.0
    min_depth: int = 16
    depthwise_extras: bool = False
    depthwise_predictors: bool = False
    predictor_kernel: int = 1
    class_bias: float = 0.0
    anchors: AnchorSpec = field(default_factory=AnchorSpec)
    batch_norm: bool = True
    explicit_padding: bool = False
    tensorflow_2: bool = False

    def at(self, size: tuple[int, int]) -> "SsdSpec":
        """Return the same network for pictures of another size: its arrays are the same ones."""
        (height, width), (old_height, old_width) = size, self.size
        y, x = old_height / height, old_width / width
        square = min(size) / min(self.size)
        anchors = replace(
            self.anchors,
            base=(self.anchors.base[0] * square * y, self.anchors.base[1] * square * x),
            strides=tuple((a * y, b * x) for a, b in self.anchors.strides),
            offsets=tuple((a * y, b * x) for a, b in self.anchors.offsets),
        )
        return replace(self, size=size, anchors=anchors)


def feature_maps(image: keras.KerasTensor, spec: SsdSpec, blocks: Blocks) -> list[keras.KerasTensor]:
    """Return the feature maps, largest first."""
    maps = BACKBONES[spec.backbone](image, blocks, spec.depth_multiplier, spec.min_depth)
    scope = EXTRA_SCOPES[spec.backbone]

    def depth(filters: int) -> int:
        return max(int(filters * spec.depth_multiplier), spec.min_depth)

    x = maps[-1]
    for number, (narrow, wide) in enumerate(EXTRAS[: spec.anchors.layers - len(maps)], start=2):
        x = blocks.conv(x, depth(narrow), 1, 1, f"{scope}_1_Conv2d_{number}_1x1_{depth(narrow)}")
        name = f"{scope}_2_Conv2d_{number}_3x3_s2_{depth(wide)}"
        if spec.depthwise_extras:
            x = blocks.depthwise(x, 3, 2, f"{name}_depthwise")
            x = blocks.conv(x, depth(wide), 1, 1, name)
        else:
            x = blocks.conv(x, depth(wide), 3, 2, name)
        maps.append(x)
    return maps


def predictor(
    x: keras.KerasTensor, spec: SsdSpec, blocks: Blocks, filters: int, name: str, bias: float
) -> keras.KerasTensor:
    """Predict ``filters`` numbers at each cell of a feature map."""
    if spec.depthwise_predictors:
        x = blocks.depthwise(x, 3, 1, f"{name}_depthwise")
    return keras.layers.Conv2D(
        filters,
        1 if spec.depthwise_predictors else spec.predictor_kernel,
        padding="same",
        kernel_initializer=keras.initializers.TruncatedNormal(stddev=0.03),
        bias_initializer=keras.initializers.Constant(bias),
        kernel_regularizer=blocks.regularizer(),
        name=name,
    )(x)


def build(spec: SsdSpec, blocks: Blocks | None = None) -> keras.Model:
    """Build the network.

    Input ``image``: float32 (batch, height, width, 3), RGB scaled to -1..1. Outputs, for n anchors: ``encodings``
    float32 (batch, n, 4) in the order ty, tx, th, tw, and ``logits`` float32 (batch, n, classes + 1), background first.
    """
    blocks = replace(
        blocks or Blocks(),
        batch_norm=spec.batch_norm,
        explicit_padding=spec.explicit_padding,
        tensorflow_2=spec.tensorflow_2,
    )
    image = keras.Input((*spec.size, 3), name="image")
    encodings, logits = [], []
    for layer, x in enumerate(feature_maps(image, spec, blocks)):
        count, scope = spec.anchors.per_cell()[layer], f"BoxPredictor_{layer}"
        boxes = predictor(x, spec, blocks, count * 4, f"{scope}.BoxEncodingPredictor", 0.0)
        scores = predictor(x, spec, blocks, count * (spec.classes + 1), f"{scope}.ClassPredictor", spec.class_bias)
        encodings.append(keras.layers.Reshape((-1, 4), name=f"{scope}.encodings")(boxes))
        logits.append(keras.layers.Reshape((-1, spec.classes + 1), name=f"{scope}.logits")(scores))
    # Float32 under mixed precision too: bfloat16 tells scores and corners of boxes apart too coarsely.
    outputs = {
        "encodings": keras.layers.Concatenate(axis=1, dtype="float32", name="encodings")(encodings),
        "logits": keras.layers.Concatenate(axis=1, dtype="float32", name="logits")(logits),
    }
    return keras.Model(image, outputs, name=f"ssd_{spec.backbone}")


def grids(network: keras.Model, spec: SsdSpec) -> list[tuple[int, int]]:
    """Return (rows, columns) of each feature map of a built network."""
    return [
        tuple(network.get_layer(f"BoxPredictor_{layer}.BoxEncodingPredictor").output.shape[1:3])
        for layer in range(spec.anchors.layers)
    ]


def grid_sizes(spec: SsdSpec) -> list[tuple[int, int]]:
    """Return (rows, columns) of each feature map, from the description alone: each stride of 2 rounds up."""
    rows, columns = spec.size
    halved = []
    for _ in range(spec.anchors.layers + 3):
        rows, columns = -(-rows // 2), -(-columns // 2)
        halved.append((rows, columns))
    return halved[3:]


def scores(logits: keras.KerasTensor) -> keras.KerasTensor:
    """Turn logits into scores of the classes proper, background dropped: (batch, n, classes)."""
    return ops.sigmoid(logits)[..., 1:]
