"""Class imbalance: pictures with rare classes are shown more often.

Source: A. Gupta et al., "LVIS" (2019), section 4.2: a class that is in the share f of the pictures is shown
max(1, sqrt(t / f)) times as often, a picture as its rarest class.
"""

from collections.abc import Sequence

import numpy as np

from trainbox.tasks.detect.dataset import AnnotatedImage

ENOUGH = 0.25
"""Classes in a larger share of the pictures are shown as they are."""
MOST = 8.0


def shown_more_often(images: Sequence[AnnotatedImage], seed: int) -> np.ndarray:
    """Return the places of the images to train on, int64, each at least once, those with rare classes repeated.

    A share of a repetition is drawn by ``seed``.
    """
    held = [set(image.classes.tolist()) for image in images]
    shares = {label: sum(label in classes for classes in held) / len(images) for label in set().union(*held)}
    wanted = {label: min(MOST, max(1.0, np.sqrt(ENOUGH / share))) for label, share in shares.items()}
    times = np.array([max((wanted[label] for label in classes), default=1.0) for classes in held])
    drawn = np.random.default_rng([seed, 2]).random(len(images))
    return np.repeat(np.arange(len(images)), (times + drawn).astype(np.int64))
