"""MobileNetV2's backbone: M. Sandler et al. (2018), table 2."""

import keras

from trainbox.tasks.detect.networks.blocks import Blocks

SCOPE = "FeatureExtractor.MobilenetV2"
STAGES = [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)]
"""(expansion, filters, repeats, stride of the first repeat)."""
TAPPED = 13
"""The bottleneck whose expanded input is SSD's first feature map ("layer_15/expansion_output")."""
LAST = 1280


def divisible_by_8(filters: float, least: int = 8) -> int:
    """Round to a multiple of 8, never below nine tenths of what was asked."""
    rounded = max(least, int(filters + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * filters else rounded


def bottleneck(
    x: keras.KerasTensor, blocks: Blocks, expansion: int, filters: int, stride: int, name: str, unclamped: int
) -> tuple[keras.KerasTensor, keras.KerasTensor]:
    """Return (the block's output, its expanded input). ``unclamped``: the filters before any least number of them."""
    inputs, channels = x, x.shape[-1]
    if expansion > 1:
        x = blocks.conv(x, divisible_by_8(channels * expansion), 1, 1, f"{name}.expand")
    expanded = x
    x = blocks.depthwise(x, 3, stride, f"{name}.depthwise")
    x = blocks.conv(x, filters, 1, 1, f"{name}.project", activate=False)
    if stride == 1 and channels == (unclamped if blocks.tensorflow_2 else filters):
        x = keras.layers.Add(name=f"{name}.add")([inputs, x])
    return x, expanded


def backbone(
    image: keras.KerasTensor, blocks: Blocks, depth_multiplier: float, min_depth: int
) -> list[keras.KerasTensor]:
    """Return the two feature maps that SSD reads: strides 16 and 32."""

    def depth(filters: int) -> int:
        return divisible_by_8(filters * depth_multiplier, min_depth)

    x = blocks.conv(image, depth(32), 3, 2, f"{SCOPE}.Conv")
    tapped, number = [], 0
    for expansion, filters, repeats, first_stride in STAGES:
        for repeat in range(repeats):
            name = f"{SCOPE}.expanded_conv" + (f"_{number}" if number else "")
            stride = first_stride if repeat == 0 else 1
            unclamped = divisible_by_8(int(filters * depth_multiplier))
            x, expanded = bottleneck(x, blocks, expansion, depth(filters), stride, name, unclamped)
            if number == TAPPED:
                tapped.append(expanded)
            number += 1
    return [*tapped, blocks.conv(x, depth(LAST), 1, 1, f"{SCOPE}.Conv_1")]
