"""Boxes as distances from anchors, and back: the OD API's ``faster_rcnn_box_coder`` with SSD's scale factors.

Source: S. Ren et al., "Faster R-CNN" (2015), equation 2. Boxes are yxyx, normalised; anchors and encodings as named.
"""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from keras import KerasTensor

SCALES = (10.0, 10.0, 5.0, 5.0)
"""What ty, tx, th, tw are multiplied by."""
SMALLEST_SIDE = 1e-8


def encode(boxes_yxyx: np.ndarray, anchors_cyxhw: np.ndarray) -> np.ndarray:
    """Return ty, tx, th, tw: float32 (n, 4), one box per anchor."""
    y_min, x_min, y_max, x_max = boxes_yxyx.T
    height, width = np.maximum(y_max - y_min, SMALLEST_SIDE), np.maximum(x_max - x_min, SMALLEST_SIDE)
    cy, cx, anchor_height, anchor_width = anchors_cyxhw.T
    codes = [
        (y_min + height / 2 - cy) / anchor_height,
        (x_min + width / 2 - cx) / anchor_width,
        np.log(height / anchor_height),
        np.log(width / anchor_width),
    ]
    return (np.stack(codes, axis=-1) * SCALES).astype(np.float32)


def decode(encodings: "KerasTensor", anchors_cyxhw: np.ndarray) -> "KerasTensor":
    """Return boxes yxyx, (batch, n, 4), not clipped."""
    # Processes that prepare pictures encode boxes and need no Keras.
    from keras import ops

    ty, tx, th, tw = ops.unstack(encodings / np.array(SCALES, np.float32), axis=-1)
    cy, cx, anchor_height, anchor_width = anchors_cyxhw.T
    half_height, half_width = ops.exp(th) * anchor_height / 2, ops.exp(tw) * anchor_width / 2
    y, x = ty * anchor_height + cy, tx * anchor_width + cx
    return ops.stack([y - half_height, x - half_width, y + half_height, x + half_width], axis=-1)
