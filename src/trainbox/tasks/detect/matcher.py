"""Which anchor answers for which box: the OD API's ``argmax_matcher`` with ``force_match_for_each_row``."""

import numpy as np

BACKGROUND = -1


def intersection_over_union(first_yxyx: np.ndarray, second_yxyx: np.ndarray) -> np.ndarray:
    """Return the overlap of every pair: float (m, n) for m and n boxes; 0 where both are empty."""
    top_left = np.maximum(first_yxyx[:, None, :2], second_yxyx[None, :, :2])
    bottom_right = np.minimum(first_yxyx[:, None, 2:], second_yxyx[None, :, 2:])
    shared = np.prod(np.clip(bottom_right - top_left, 0, None), axis=-1)
    areas = [np.prod(np.clip(boxes[:, 2:] - boxes[:, :2], 0, None), axis=-1) for boxes in (first_yxyx, second_yxyx)]
    union = areas[0][:, None] + areas[1][None, :] - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def match(boxes_yxyx: np.ndarray, anchors_yxyx: np.ndarray, threshold: float = 0.5) -> np.ndarray:
    """Return, for each anchor, the index of its box or BACKGROUND: int64 (n,).

    An anchor takes the box it overlaps most, from ``threshold`` on. Every box keeps the anchor that overlaps it most,
    however little; where two boxes claim one anchor the first wins.
    """
    if len(boxes_yxyx) == 0:
        return np.full(len(anchors_yxyx), BACKGROUND)
    overlap = intersection_over_union(boxes_yxyx, anchors_yxyx)
    matched = np.where(overlap.max(axis=0) >= threshold, overlap.argmax(axis=0), BACKGROUND)
    best_anchors = overlap.argmax(axis=1)
    matched[best_anchors[::-1]] = np.arange(len(boxes_yxyx))[::-1]
    return matched
