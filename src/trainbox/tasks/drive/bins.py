"""Commands as bins and back, and the throttle that the car makes of a steering angle: exactly as the car reckons.

Bins as donkeycar documents them: 15 over -1..1 for the angle, 20 over 0..range for the throttle, the nearest one,
clamped at the ends.
"""

import numpy as np

ANGLE_BINS, THROTTLE_BINS = 15, 20


def angle_bin(angle: np.ndarray) -> np.ndarray:
    """Return the bin of each angle (n,), -1..1: int64 (n,), 0..14."""
    return _nearest((np.asarray(angle, np.float64) + 1) / (2 / (ANGLE_BINS - 1)), ANGLE_BINS)


def throttle_bin(throttle: np.ndarray, throttle_range: float) -> np.ndarray:
    """Return the bin of each throttle (n,): int64 (n,), 0..19; a throttle below 0 or beyond the range is clamped."""
    return _nearest(np.asarray(throttle, np.float64) / (throttle_range / THROTTLE_BINS), THROTTLE_BINS)


def angle_of(scores: np.ndarray) -> np.ndarray:
    """Return the angle the car steers for scores (n, 15): that of the highest bin, float64 (n,)."""
    return np.argmax(scores, axis=1) * (2 / (ANGLE_BINS - 1)) - 1


def throttle_of(scores: np.ndarray, throttle_range: float) -> np.ndarray:
    """Return the throttle the car gives for scores (n, 20): that of the highest bin, float64 (n,)."""
    return np.argmax(scores, axis=1) * (throttle_range / THROTTLE_BINS)


def inferred_throttle(angle: np.ndarray) -> np.ndarray:
    """Return the throttle that a car with the pilot ``inferred`` makes of its angle (n,): float64 (n,).

    It falls from 1 at full left to .56 at full right: donkeycar takes the angle's place between its limits for its
    size. So it is, and so the scores have to count it.
    """
    place = (np.clip(np.asarray(angle, np.float64), -1, 1) + 1) / 2
    return np.exp(-0.5 * place) - 0.05 * place


def _nearest(steps: np.ndarray, count: int) -> np.ndarray:
    return np.clip(np.rint(steps).astype(np.int64), 0, count - 1)
