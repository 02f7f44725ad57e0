"""Training examples of a detector: batches of pictures with what every anchor should answer."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from trainbox.data.cache import ImageCache
from trainbox.tasks.detect.augment import CHANGES, Picture, changed
from trainbox.tasks.detect.dataset import AnnotatedImage
from trainbox.tasks.detect.metrics import Truth
from trainbox.tasks.detect.targets import TargetAssigner
from trainbox.training.recipe import Batch

HALF_RANGE = 127.5
"""Pixels are fed as pixel / 127.5 - 1."""
NAMED = 4
SCORED_AT_ONCE = 16


@dataclass(frozen=True)
class DetectExamples:
    """Annotated ``images`` whose pixels are in the cache at ``rows`` (int64 (n,)) of it.

    ``size`` (height, width) is what the network sees. ``assign`` says what the anchors answer, once the network is
    known. ``changes`` are the kinds of augmentation. ``labels`` are the class names in order.
    """

    cache: ImageCache
    rows: np.ndarray
    images: tuple[AnnotatedImage, ...]
    size: tuple[int, int]
    labels: tuple[str, ...]
    assign: TargetAssigner | None = None
    changes: Collection[str] = ()

    def __len__(self) -> int:
        return len(self.rows)

    def batch(self, indices: np.ndarray, random: np.random.Generator | None) -> Batch:
        """Read examples as ``Recipe`` wants them: ``image`` uint8 (n, height, width, 3), targets of every anchor."""
        if self.assign is None:
            raise RuntimeError("the anchors are not known yet")
        pictures = [self._picture(int(index), random) for index in indices]
        encodings, logits = zip(*(self.assign(one.boxes_yxyx, one.classes) for one in pictures), strict=True)
        image = np.stack([np.asarray(picture.image) for picture in pictures])
        return {"image": image}, {"encodings": np.stack(encodings), "logits": np.stack(logits)}, None

    def _picture(self, index: int, random: np.random.Generator | None) -> Picture:
        if random is None:
            return self._as_it_is(index).resized(self.size)
        places = random.integers(len(self), size=3)
        return changed(
            self._as_it_is(index),
            lambda: [self._as_it_is(int(place)) for place in places],
            self.changes,
            self.size,
            random,
        )

    def _as_it_is(self, index: int) -> Picture:
        image = self.images[index]
        pixels = self.cache.read(self.rows[index : index + 1])[0]
        trained = ~image.crowd
        return Picture(Image.fromarray(pixels), image.boxes_yxyx[trained], image.classes[trained])

    def shown(self, places: np.ndarray | None, changes: Collection[str]) -> "DetectExamples":
        """Return the examples at ``places`` (int64; all where None), some perhaps repeated, with augmentation."""
        unknown = set(changes) - set(CHANGES)
        if unknown:
            raise ValueError(f"unknown augmentation: {', '.join(sorted(unknown))}")
        if places is None:
            return replace(self, changes=tuple(changes))
        images = tuple(self.images[place] for place in places)
        return replace(self, rows=self.rows[places], images=images, changes=tuple(changes))

    def take(self, indices: np.ndarray) -> "DetectExamples":
        """Return the examples at ``indices`` (int64), in that order, as they are."""
        return self.shown(indices, ())

    @property
    def names(self) -> tuple[str, ...]:
        """Where each picture lies."""
        return tuple(str(image.image) for image in self.images)

    def describe(self, indices: np.ndarray) -> str:
        """Say where the first few images at ``indices`` lie."""
        return ", ".join(str(self.images[index].image) for index in indices[:NAMED])

    def pixels(self, indices: np.ndarray, size: tuple[int, int] | None = None) -> np.ndarray:
        """Return pictures, unchanged, as the network sees them, or at ``size``: uint8 (n, height, width, 3)."""
        pictures = [self._as_it_is(int(index)).resized(size or self.size) for index in indices]
        return np.stack([np.asarray(picture.image) for picture in pictures])

    def network_inputs(self, indices: np.ndarray, size: tuple[int, int] | None = None) -> dict[str, np.ndarray]:
        """Return what the deployed network is fed, or one of ``size``: ``image`` float32 (n, h, w, 3), -1..1."""
        return {"image": as_fed(self.pixels(indices, size))}

    def batches(self) -> Iterator[np.ndarray]:
        """Return the places of all examples in order, some at a time: int64."""
        for start in range(0, len(self), SCORED_AT_ONCE):
            yield np.arange(start, min(start + SCORED_AT_ONCE, len(self)))

    def truths(self) -> list[Truth]:
        """Return what the pictures hold, crowds included."""
        return [
            Truth(image.boxes_yxyx, image.classes, (image.height, image.width), image.crowd) for image in self.images
        ]


def as_fed(pixels: np.ndarray) -> np.ndarray:
    """Return pixels (uint8) as the network is fed them: float32, -1 to 1."""
    return pixels.astype(np.float32) / np.float32(HALF_RANGE) - np.float32(1)
