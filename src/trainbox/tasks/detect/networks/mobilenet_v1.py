"""MobileNetV1's backbone: A. Howard et al. (2017), table 1."""

import keras

from trainbox.tasks.detect.networks.blocks import Blocks

SCOPE = "FeatureExtractor.MobilenetV1"
LAYERS = [
    (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2),
    (512, 1), (512, 1), (512, 1), (512, 1), (512, 1), (1024, 2), (1024, 1),
]  # fmt: skip
"""(filters, stride) of the thirteen separable convolutions."""
TAPPED = (11, 13)


def backbone(
    image: keras.KerasTensor, blocks: Blocks, depth_multiplier: float, min_depth: int
) -> list[keras.KerasTensor]:
    """Return the two feature maps that SSD reads: strides 16 and 32."""

    def depth(filters: int) -> int:
        width = int(filters * depth_multiplier)
        return max(int(width * depth_multiplier) if blocks.tensorflow_2 else width, min_depth)

    x = blocks.conv(image, depth(32), 3, 2, f"{SCOPE}.Conv2d_0")
    tapped = []
    for number, (filters, stride) in enumerate(LAYERS, start=1):
        x = blocks.depthwise(x, 3, stride, f"{SCOPE}.Conv2d_{number}_depthwise")
        x = blocks.conv(x, depth(filters), 1, 1, f"{SCOPE}.Conv2d_{number}_pointwise")
        if number in TAPPED:
            tapped.append(x)
    return tapped
