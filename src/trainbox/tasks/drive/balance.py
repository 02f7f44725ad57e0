"""Weights that keep the straights from drowning the bends."""

import numpy as np

from trainbox.tasks.drive.bins import ANGLE_BINS, angle_bin

HEAVIEST = 10.0


def steering_weights(angle: np.ndarray) -> np.ndarray:
    """Return a weight for each steering angle (float32 (n,), -1..1): float32 (n,), mean 1.

    A weight is the inverse root of how many angles share its bin, so that bends count more without a handful of
    extreme frames ruling the training; none exceeds ten times the lightest.
    """
    bins = angle_bin(angle)
    counts = np.bincount(bins, minlength=ANGLE_BINS)
    weights = 1 / np.sqrt(np.maximum(counts, 1))[bins]
    weights = np.minimum(weights, HEAVIEST * weights.min(initial=np.inf))
    return (weights / weights.mean()).astype(np.float32) if len(weights) else weights.astype(np.float32)
