"""Anchors of the shapes that the training boxes have, where nobody prescribed any.

The usual anchors suit photographs of everyday things. Where a box is far from all of them only one anchor learns it,
and that one badly. Clusters of shapes are those of J. Redmon and A. Farhadi, "YOLO9000" (2017), section 2, "Dimension
Clusters", found here for each feature map among the boxes of its scale, so that every map keeps its count of anchors
and a trained box predictor still fits.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from trainbox.tasks.detect.anchors import AnchorSpec
from trainbox.tasks.detect.dataset import AnnotatedImage
from trainbox.tasks.detect.matcher import intersection_over_union

LEAST_SIDE = 0.004
ROUNDS = 100
ENOUGH_PER_SHAPE = 4
"""With fewer boxes of its scale for each anchor a feature map keeps the usual shapes."""


def fitted(spec: AnchorSpec, images: Sequence[AnnotatedImage]) -> AnchorSpec:
    """Return ``spec`` with the shapes of the images' boxes, of each feature map that has enough boxes of its scale."""
    sizes, weights = _boxes(images)
    scales = np.sqrt(sizes.prod(axis=1))
    edges = np.sqrt(np.multiply(spec.scales()[: spec.layers - 1], spec.scales()[1 : spec.layers]))
    layers = np.searchsorted(edges, scales)
    shapes = []
    for layer in range(spec.layers):
        own, count = layers == layer, len(spec.shapes(layer))
        enough = own.sum() >= ENOUGH_PER_SHAPE * count
        shapes.append(_clusters(sizes[own], weights[own], count) if enough else tuple(spec.shapes(layer)))
    return replace(spec, fitted_shapes=tuple(shapes))


def _boxes(images: Sequence[AnnotatedImage]) -> tuple[np.ndarray, np.ndarray]:
    """Return (height, width) of the boxes, normalised, (n, 2), and weights (n,) with which all classes count alike."""
    boxes = np.concatenate([np.zeros((0, 4)), *(image.boxes_yxyx[~image.crowd] for image in images)])
    classes = np.concatenate([np.zeros(0, np.int64), *(image.classes[~image.crowd] for image in images)])
    sizes = np.clip(boxes[:, 2:] - boxes[:, :2], LEAST_SIDE, 1)
    return sizes, 1 / np.bincount(classes)[classes]


def _clusters(sizes: np.ndarray, weights: np.ndarray, count: int) -> tuple[tuple[float, float], ...]:
    """Return the (scale, ratio) of ``count`` shapes that the sizes (n, 2) overlap best, smallest first."""
    order = np.argsort(sizes.prod(axis=1), kind="stable")
    share = np.cumsum(weights[order]) / weights.sum()
    centres = sizes[order[np.searchsorted(share, (np.arange(count) + 0.5) / count)]]
    for _ in range(ROUNDS):
        nearest = intersection_over_union(_at_origin(sizes), _at_origin(centres)).argmax(axis=1)
        moved = np.stack([_mean(sizes[nearest == one], weights[nearest == one], centres[one]) for one in range(count)])
        if np.allclose(moved, centres):
            break
        centres = moved
    centres = centres[np.argsort(centres.prod(axis=1), kind="stable")]
    return tuple((round(float((h * w) ** 0.5), 4), round(float(w / h), 4)) for h, w in centres)


def _mean(sizes: np.ndarray, weights: np.ndarray, otherwise: np.ndarray) -> np.ndarray:
    """Return the geometric mean of sizes (n, 2), or ``otherwise`` where there are none."""
    return np.exp(np.average(np.log(sizes), axis=0, weights=weights)) if len(sizes) else otherwise


def _at_origin(sizes: np.ndarray) -> np.ndarray:
    """Return boxes (n, 4) of sizes (n, 2), their first corners laid together."""
    return np.concatenate([np.zeros_like(sizes), sizes], axis=1)
