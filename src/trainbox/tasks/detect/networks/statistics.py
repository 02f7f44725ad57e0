"""Batch norm brought back to life where someone had folded it into the convolutions.

Such a file has moving means of 0 and variances of 1 that no picture ever gave. Training with the batch's own statistics
would start from other answers than the file's. So each batch norm is given the statistics of what it really sees, and
the scale and shift that leave its answers as they were.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

import keras
import numpy as np
from keras import ops


@dataclass(frozen=True)
class _Moments:
    """Mean and mean square deviation of each channel before each batch norm, over the pictures so far."""

    mean: list[np.ndarray]
    variance: list[np.ndarray]


def reestimate(network: keras.Model, batches: Iterable[np.ndarray], fresh: Collection[str] = ()) -> None:
    """Set each batch norm's mean and variance to those of its input over ``batches``, its answers staying the same.

    ``batches``: float32 (b, h, w, 3), -1..1; a few hundred pictures are enough. ``fresh``: names of arrays that started
    anew, as ``Imported.fresh`` gives them; their batch norms keep scale and shift instead, so that what they answer is
    normalised from the first step on. Nothing is changed where ``batches`` is empty.
    """
    norms = [layer for layer in network.layers if isinstance(layer, keras.layers.BatchNormalization)]
    if not norms:
        return
    new = {norm.name for norm in norms if f"{norm.name.replace('.', '/')}/moving_mean" in fresh}
    before = {norm.name: (norm.trainable, norm.get_weights()) for norm in norms}
    for norm in norms:
        norm.trainable = norm.name in new  # one that is not trainable uses what it has, also in training
    try:
        seen = _observe(network, norms, batches)
    finally:
        for norm in norms:
            norm.trainable, weights = before[norm.name]
            norm.set_weights(weights)
    if seen is None:
        return
    for norm, mean, variance in zip(norms, seen.mean, seen.variance, strict=True):
        _give(norm, mean, variance, keep_answers=norm.name not in new)


def _observe(
    network: keras.Model, norms: list[keras.layers.BatchNormalization], batches: Iterable[np.ndarray]
) -> _Moments | None:
    """Run the batches and return the moments of each batch norm's input over all of them."""
    moments = [ops.moments(norm.input, axes=(0, 1, 2)) for norm in norms]
    observer = keras.Model(network.input, [value for pair in moments for value in pair])
    count, sums, squares = 0, [0.0] * len(norms), [0.0] * len(norms)
    for batch in batches:
        answers = [ops.convert_to_numpy(value).astype(np.float64) for value in observer(batch, training=True)]
        for index, (mean, variance) in enumerate(zip(answers[::2], answers[1::2], strict=True)):
            sums[index] = sums[index] + mean * len(batch)
            squares[index] = squares[index] + (variance + mean**2) * len(batch)
        count += len(batch)
    if not count:
        return None
    means = [np.asarray(total / count) for total in sums]
    variances = [np.maximum(total / count - mean**2, 0) for total, mean in zip(squares, means, strict=True)]
    return _Moments(means, variances)


def _give(norm: keras.layers.BatchNormalization, mean: np.ndarray, variance: np.ndarray, keep_answers: bool) -> None:
    gamma, beta, old_mean, old_variance = (array.astype(np.float64) for array in norm.get_weights())
    if keep_answers:
        deviation = np.sqrt(old_variance + norm.epsilon)
        beta = beta + gamma * (mean - old_mean) / deviation
        gamma = gamma * np.sqrt(variance + norm.epsilon) / deviation
    norm.set_weights([array.astype(np.float32) for array in (gamma, beta, mean, variance)])
