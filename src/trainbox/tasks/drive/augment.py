"""Random changes of training images: numbers are drawn in numpy, pixels are changed in the backend's graph.

So a batch is a function of the records and the state of one generator, which is what makes a resumed training
equal to an undisturbed one; and the pixels are changed wherever the network runs.
"""

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import keras

PARAMETERS = ("mirror", "brightness", "contrast", "blur", "shadow", "shadow_top", "shadow_bottom")
"""Columns of the parameters, all float32; a row of zeros leaves its image as it is."""

BRIGHTNESS, CONTRAST = 0.25, 0.15
DARKEST_SHADOW = 0.5
LIGHT = frozenset({"brightness", "contrast", "shadow"})
SHARES = np.array([[0.5], [0.25], [0.25], [0.25], [0.25]])
"""Shares of the images that are mirrored, and that brightness, contrast, nothing and shadow befall. With more
of the light a pilot steered worse on frames never seen, by one seed (benchmarks/RESULTS.md)."""
BLURRED_SHARE = 8
"""One image in this many is blurred: those at the start of a batch, since blur is the dearest of the changes."""


def draw(kinds: Collection[str], count: int, random: np.random.Generator) -> np.ndarray:
    """Draw the changes of ``count`` images: float32 (count, 7), columns as ``PARAMETERS``.

    Mirror is 0 or 1; brightness and contrast are gains less one, of the exposure and around the image's mean; blur
    and shadow are shares of 0..1; shadow_top and shadow_bottom say where the shadow's edge crosses the top and the
    bottom, in image widths from the left.
    Half of the images are mirrored, a quarter is changed by each of brightness, contrast and shadow, an eighth is
    blurred. What is drawn does not depend on ``kinds``.
    """
    mirrored, brighter, harder, _, shaded = random.random((5, count), dtype=np.float32) < SHARES
    spread = random.uniform(-1, 1, (2, count))
    blur, shade = random.random((2, count))
    edges = random.uniform(0.1, 0.9, (2, count))
    side = np.where(random.random(count) < 0.5, -1.0, 1.0)
    changes = {
        "mirror": mirrored,
        "brightness": brighter * spread[0] * BRIGHTNESS,
        "contrast": harder * spread[1] * CONTRAST,
        "blur": (np.arange(count) < count // BLURRED_SHARE) * blur,
        # The sign says which side of the edge lies in shadow.
        "shadow": shaded * side * (0.2 + (DARKEST_SHADOW - 0.2) * shade),
    }
    columns = [changes[name] if name in kinds else np.zeros(count) for name in changes]
    return np.stack([*columns, *edges], axis=1).astype(np.float32)


def unchanged(count: int) -> np.ndarray:
    """Return the parameters that leave ``count`` images as they are: zeros, float32 (count, 7)."""
    return np.zeros((count, len(PARAMETERS)), np.float32)


def augment_layer(kinds: Collection[str] = PARAMETERS) -> "keras.layers.Layer":
    """Return a layer from images uint8 (n, h, w, 3) and parameters (n, 7) to pixels float32 of 0..1.

    It applies the parameters of ``kinds`` while training and only scales otherwise.
    """
    import keras

    class Augment(keras.layers.Layer):
        """See ``augment_layer``: the class stands here so that importing this module does not import Keras."""

        def __init__(self) -> None:
            # Parameters and pixels stay float32 under mixed precision: bfloat16 has only 8 bits for 256 levels.
            super().__init__(name="augment", dtype="float32", autocast=False, trainable=False)

        def call(self, images: Any, parameters: Any, training: bool = False) -> Any:
            return changed(images, parameters, kinds) if training else scaled(images)

        def compute_output_spec(self, images: Any, parameters: Any, training: bool = False) -> Any:
            return keras.KerasTensor(images.shape, dtype="float32")

    return Augment()


def scaled(images: Any) -> Any:
    """Scale uint8 images to float32 of 0..1."""
    from keras import ops

    return ops.cast(images, "float32") * np.float32(1 / 255)


def changed(images: Any, parameters: Any, kinds: Collection[str] = PARAMETERS) -> Any:
    """Apply parameters (n, 7) to uint8 images (n, h, w, 3); return float32 of 0..1. Costs nothing for other kinds."""
    column = {name: parameters[:, place] for place, name in enumerate(PARAMETERS)}
    pixels = scaled(_mirrored(images, column["mirror"]) if "mirror" in kinds else images)
    if LIGHT & set(kinds):
        pixels = _lit(pixels, column)
    return _blurred(pixels, column["blur"]) if "blur" in kinds else pixels


def _lit(pixels: Any, column: Any) -> Any:
    """Change exposure and contrast and lay the shadow, in one multiplication and one addition."""
    from keras import ops

    # Contrast turns around the mean: q -> (q - m) * (1 + c) + m, its gain being in the light already. Every 8th
    # pixel tells the mean, in a 64th of the time.
    mean = ops.mean(pixels[:, ::8, ::8], axis=(1, 2, 3)) * (1 + column["brightness"])
    offset = -column["contrast"] * mean
    lit = pixels * _light(column, pixels.shape[1], pixels.shape[2])
    return ops.clip(lit + offset[:, None, None, None], 0, 1)


def _mirrored(images: Any, mirror: Any) -> Any:
    """Take each image from itself or its mirror image: measured three times cheaper on a CPU than ``where``."""
    from keras import ops

    both = ops.concatenate([images, ops.flip(images, axis=2)], axis=0)
    count = ops.shape(images)[0]
    return ops.take(both, ops.arange(count) + count * ops.cast(mirror > 0.5, "int32"), axis=0)


def _light(column: Any, height: int, width: int) -> Any:
    """Return the gain of every pixel, (n, h, w, 1): exposure, contrast, and darkness beyond a slanting edge."""
    from keras import ops

    down = np.linspace(0, 1, height, dtype=np.float32)[None, :, None]
    across = np.linspace(0, 1, width, dtype=np.float32)[None, None, :]
    shadow, top, bottom = (column[name][:, None, None] for name in ("shadow", "shadow_top", "shadow_bottom"))
    beyond = (across - top - (bottom - top) * down) * ops.sign(shadow) > 0
    shade = 1 - ops.abs(shadow) * ops.cast(beyond, "float32")
    gain = (1 + column["brightness"]) * (1 + column["contrast"])
    return (gain[:, None, None] * shade)[..., None]


def _blurred(pixels: Any, blur: Any) -> Any:
    """Mix the leading images of the batch with a 1-2-1 smoothing of themselves, both ways."""
    from keras import ops

    count = ops.shape(pixels)[0] // BLURRED_SHARE
    sharp = pixels[:count]
    rows = ops.pad(sharp, [[0, 0], [1, 1], [1, 1], [0, 0]], mode="symmetric")
    columns = (rows[:, :-2] + 2 * rows[:, 1:-1] + rows[:, 2:]) * 0.25
    smooth = (columns[:, :, :-2] + 2 * columns[:, :, 1:-1] + columns[:, :, 2:]) * 0.25
    mixed = sharp + blur[:count, None, None, None] * (smooth - sharp)
    return ops.concatenate([mixed, pixels[count:]], axis=0)
