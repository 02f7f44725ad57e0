"""Boxes as they are written made into boxes as they are trained on: fractions of the image as it is shown."""

from collections.abc import Sequence

import numpy as np

from trainbox.data.images import ImageHeader
from trainbox.data.problems import Problems
from trainbox.tasks.detect.formats.annotation import Annotation, Box

# Rounding takes fractions a little beyond the image; further out, numbers mean something else.
MAX_FRACTION = 1.01


def usable_boxes(annotation: Annotation, header: ImageHeader, problems: Problems) -> tuple[np.ndarray, np.ndarray]:
    """Return an annotation's boxes as float32 (n, 4) in yxyx order, 0 to 1, and which of them are kept (bool, (m,)).

    Fractions and pixels alike are of the image as it is shown. Where the annotation says a height and width that are
    those of the file before its EXIF orientation is applied, the boxes were drawn on the picture lying on its side
    and are turned with it. What is left out, clipped or turned is counted.
    """
    written = annotation.boxes
    boxes = np.array([box.yxyx for box in written], np.float64).reshape(-1, 4)
    turned = _drawn_unturned(annotation, boxes, header)
    shown = np.array([header.height, header.width] * 2, np.float64)
    if not annotation.fractions:
        boxes = boxes / (shown[[1, 0, 3, 2]] if turned else shown)
    if turned:
        problems.warn("boxes were drawn before the EXIF orientation and are turned with it", annotation.where)
        boxes = turn(boxes, header.orientation)
    elif annotation.declared_size not in (None, (header.height, header.width)):
        problems.warn("annotation says another image size: the image counts", annotation.where)
    return _judge(boxes, written, annotation, problems)


def turn(boxes: np.ndarray, orientation: int) -> np.ndarray:
    """Turn boxes (fractions, yxyx, shape (n, 4)) of a picture as stored to where its EXIF orientation shows them."""
    y, x = boxes[:, [0, 2]], boxes[:, [1, 3]]
    if orientation in (5, 6, 7, 8):
        y, x = x, y
    if orientation in (2, 3, 6, 7):
        x = 1 - x
    if orientation in (3, 4, 7, 8):
        y = 1 - y
    y, x = np.sort(y, axis=1), np.sort(x, axis=1)
    return np.stack([y[:, 0], x[:, 0], y[:, 1], x[:, 1]], axis=1)


def _drawn_unturned(annotation: Annotation, boxes: np.ndarray, header: ImageHeader) -> bool:
    """Tell whether an annotation speaks of a picture lying on its side: its size does, and its boxes fit there."""
    stored = (header.width, header.height)
    if header.orientation < 5 or stored[0] == stored[1] or annotation.declared_size != stored:
        return False
    limits = (1, 1) if annotation.fractions else stored
    return bool((boxes[:, 2] <= limits[0] * MAX_FRACTION).all() and (boxes[:, 3] <= limits[1] * MAX_FRACTION).all())


def _judge(
    boxes: np.ndarray, written: Sequence[Box], annotation: Annotation, problems: Problems
) -> tuple[np.ndarray, np.ndarray]:
    finite = np.isfinite(boxes).all(axis=1)
    upright = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    beyond = (np.abs(boxes - 0.5) > MAX_FRACTION - 0.5).any(axis=1)
    clipped = np.clip(boxes, 0, 1).astype(np.float32)
    solid = (clipped[:, 2] > clipped[:, 0]) & (clipped[:, 3] > clipped[:, 1])
    outside = beyond if annotation.fractions else np.zeros(len(boxes), bool)
    for reason, bad in (
        ("box has a coordinate that is no number", ~finite),
        ("box has no area", finite & ~upright),
        ("box lies beyond the image", finite & upright & outside),
        ("box has no area within the image", finite & upright & ~outside & ~solid),
    ):
        for place in np.flatnonzero(bad).tolist():
            problems.skip(reason, f"{annotation.where}: {written[place].name}")
    kept = finite & upright & ~outside & solid
    if (kept & beyond).any():
        problems.warn("box reaches beyond the image and is clipped", annotation.where, int((kept & beyond).sum()))
    return clipped[kept], kept
