"""Anchors of SSD, and the code that says how far a box is from its anchor.

Sources: W. Liu et al., "SSD: Single Shot MultiBox Detector" (2016), section 2.2; the OD API's
``ssd_anchor_generator``, whose
order, first layer and missing clipping trained checkpoints depend on.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

FIRST_LAYER = ((0.1, 1.0), (None, 2.0), (None, 0.5))
"""(scale, ratio) of the first feature map where it is reduced; None stands for the smallest scale."""


@dataclass(frozen=True)
class AnchorSpec:
    """The fields of ``ssd_anchor_generator`` in a pipeline.config."""

    layers: int = 6
    min_scale: float = 0.2
    max_scale: float = 0.95
    ratios: tuple[float, ...] = (1.0, 2.0, 0.5, 3.0, 0.3333)
    reduce_first_layer: bool = True

    def scales(self) -> list[float]:
        """Return the scale of each feature map, with a closing 1.0 for the last geometric mean."""
        span = self.max_scale - self.min_scale
        return [self.min_scale + span * layer / (self.layers - 1) for layer in range(self.layers)] + [1.0]

    def shapes(self, layer: int) -> list[tuple[float, float]]:
        """Return (scale, ratio) of the anchors at each cell of one feature map, in order."""
        scales = self.scales()
        if layer == 0 and self.reduce_first_layer:
            return [(scale or scales[0], ratio) for scale, ratio in FIRST_LAYER]
        between = (scales[layer] * scales[layer + 1]) ** 0.5
        return [(scales[layer], ratio) for ratio in self.ratios] + [(between, 1.0)]

    def per_cell(self) -> list[int]:
        """Return how many anchors stand at each cell, by feature map."""
        return [len(self.shapes(layer)) for layer in range(self.layers)]


def anchors_cyxhw(spec: AnchorSpec, grids: Sequence[tuple[int, int]]) -> np.ndarray:
    """Return all anchors: float32 (n, 4) of centre y, centre x, height, width, normalised, not clipped.

    ``grids`` are (rows, columns) of each feature map. Within a map the cells go row by row, the shapes fastest.
    """
    blocks = []
    for layer, (rows, columns) in enumerate(grids):
        scale, ratio = np.array(spec.shapes(layer)).T
        sizes = np.stack([scale / np.sqrt(ratio), scale * np.sqrt(ratio)], axis=-1)
        centre_y, centre_x = np.meshgrid(
            (np.arange(rows) + 0.5) / rows, (np.arange(columns) + 0.5) / columns, indexing="ij"
        )
        centres = np.stack([centre_y, centre_x], axis=-1)[:, :, None, :]
        shape = (rows, columns, len(sizes), 2)
        cells = np.concatenate([np.broadcast_to(centres, shape), np.broadcast_to(sizes, shape)], axis=-1)
        blocks.append(cells.reshape(-1, 4))
    return np.concatenate(blocks).astype(np.float32)
