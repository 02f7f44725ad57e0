"""Anchors of SSD, and the code that says how far a box is from its anchor.

Sources: W. Liu et al., "SSD: Single Shot MultiBox Detector" (2016), section 2.2; the OD API's
``ssd_anchor_generator``, whose order, first layer and missing clipping trained checkpoints depend on.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

FIRST_LAYER = ((0.1, 1.0), (None, 2.0), (None, 0.5))
"""(scale, ratio) of the first feature map where it is reduced; None stands for the smallest scale."""


@dataclass(frozen=True)
class AnchorSpec:
    """The fields of ``ssd_anchor_generator`` in a pipeline.config.

    ``explicit_scales`` stand in place of min and max. ``between_ratio`` is the ratio of the anchor between two layers'
    scales, 0 for none. ``base`` is what (height, width) of every anchor are multiplied by. ``strides`` and ``offsets``
    are (y, x) by layer, as shares of the picture; where empty, the cells divide the picture and anchors stand in their
    middle. ``fitted_shapes`` are the (scale, ratio) of each layer's anchors, in place of what scales and ratios give.
    """

    layers: int = 6
    min_scale: float = 0.2
    max_scale: float = 0.95
    ratios: tuple[float, ...] = (1.0, 2.0, 0.5, 3.0, 0.3333)
    reduce_first_layer: bool = True
    explicit_scales: tuple[float, ...] = ()
    between_ratio: float = 1.0
    base: tuple[float, float] = (1.0, 1.0)
    strides: tuple[tuple[float, float], ...] = ()
    offsets: tuple[tuple[float, float], ...] = ()
    fitted_shapes: tuple[tuple[tuple[float, float], ...], ...] = ()

    def scales(self) -> list[float]:
        """Return the scale of each feature map, with a closing 1.0 for the last geometric mean."""
        if self.explicit_scales:
            return [*self.explicit_scales, 1.0]
        span = self.max_scale - self.min_scale
        return [self.min_scale + span * layer / (self.layers - 1) for layer in range(self.layers)] + [1.0]

    def shapes(self, layer: int) -> list[tuple[float, float]]:
        """Return (scale, ratio) of the anchors at each cell of one feature map, in order."""
        if self.fitted_shapes:
            return list(self.fitted_shapes[layer])
        scales = self.scales()
        if layer == 0 and self.reduce_first_layer:
            return [(scale or scales[0], ratio) for scale, ratio in FIRST_LAYER]
        between = (scales[layer] * scales[layer + 1]) ** 0.5
        shapes = [(scales[layer], ratio) for ratio in self.ratios]
        return [*shapes, (between, self.between_ratio)] if self.between_ratio else shapes

    def per_cell(self) -> list[int]:
        """Return how many anchors stand at each cell, by feature map."""
        return [len(self.shapes(layer)) for layer in range(self.layers)]

    def centres(self, layer: int, rows: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the anchors' centres on one feature map: y (rows,) and x (columns,), normalised."""
        stride_y, stride_x = self.strides[layer] if self.strides else (1 / rows, 1 / columns)
        first_y, first_x = self.offsets[layer] if self.offsets else (stride_y / 2, stride_x / 2)
        return np.arange(rows) * stride_y + first_y, np.arange(columns) * stride_x + first_x


def anchors_cyxhw(spec: AnchorSpec, grids: Sequence[tuple[int, int]]) -> np.ndarray:
    """Return all anchors: float32 (n, 4) of centre y, centre x, height, width, normalised, not clipped.

    ``grids`` are (rows, columns) of each feature map. Within a map the cells go row by row, the shapes fastest.
    """
    blocks = []
    for layer, (rows, columns) in enumerate(grids):
        scale, ratio = np.array(spec.shapes(layer)).T
        sizes = np.stack([scale / np.sqrt(ratio), scale * np.sqrt(ratio)], axis=-1) * spec.base
        centre_y, centre_x = np.meshgrid(*spec.centres(layer, rows, columns), indexing="ij")
        centres = np.stack([centre_y, centre_x], axis=-1)[:, :, None, :]
        shape = (rows, columns, len(sizes), 2)
        cells = np.concatenate([np.broadcast_to(centres, shape), np.broadcast_to(sizes, shape)], axis=-1)
        blocks.append(cells.reshape(-1, 4))
    return np.concatenate(blocks).astype(np.float32)
