"""What is in a detection data set: classes, sizes and shapes of boxes, boxes an image."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from trainbox.tasks.detect.dataset import DetectionData

# COCO's bounds of small, medium and large: areas in pixels of the image as it is.
SMALL_AREA_PIXELS, MEDIUM_AREA_PIXELS = 32**2, 96**2
SIZES = ("small", "medium", "large")
_ASPECTS = ((0.0, "below 1:4"), (0.25, "1:4 to 1:2"), (0.5, "1:2 to 4:5"), (0.8, "about square"))
_ASPECTS_WIDE = ((1.25, "5:4 to 2:1"), (2.0, "2:1 to 4:1"), (4.0, "above 4:1"))
_SHARES = (
    (0.0, "below 1/1000"),
    (0.001, "1/1000 to 1/100"),
    (0.01, "1/100 to 1/10"),
    (0.1, "1/10 to 1/2"),
    (0.5, "above 1/2"),
)
_COUNTS = (
    (0, "0 (background)"),
    (1, "1"),
    (2, "2 to 4"),
    (5, "5 to 9"),
    (10, "10 to 19"),
    (20, "20 to 99"),
    (100, "100 and more"),
)


@dataclass(frozen=True)
class ClassCount:
    """One class: how many images it is in, how many boxes it has, and those by size (small, medium, large)."""

    name: str
    images: int
    boxes: int
    sizes: tuple[int, int, int]


@dataclass(frozen=True)
class DatasetStatistics:
    """Counts over a data set. Histograms are (label, count) pairs in order."""

    images: int
    background: int
    boxes: int
    difficult: int
    crowd: int
    classes: tuple[ClassCount, ...]
    splits: tuple[tuple[str, int], ...]
    image_sizes: tuple[tuple[str, int], ...]
    aspect_ratios: tuple[tuple[str, int], ...]
    area_shares: tuple[tuple[str, int], ...]
    boxes_per_image: tuple[tuple[str, int], ...]

    def as_dict(self) -> dict[str, Any]:
        """Return everything as JSON has it."""
        plain: dict[str, Any] = {
            name: getattr(self, name) for name in ("images", "background", "boxes", "difficult", "crowd")
        }
        plain["classes"] = {
            one.name: {"images": one.images, "boxes": one.boxes, **dict(zip(SIZES, one.sizes, strict=True))}
            for one in self.classes
        }
        for name in ("splits", "image_sizes", "aspect_ratios", "area_shares", "boxes_per_image"):
            plain[name] = dict(getattr(self, name))
        return plain


def count_dataset(data: DetectionData) -> DatasetStatistics:
    """Count what a data set holds."""
    boxes = _stacked([image.boxes_yxyx for image in data.images], (0, 4))
    pixels = _stacked([image.boxes_yxyx_pixels for image in data.images], (0, 4))
    classes = _stacked([image.classes for image in data.images], (0,))
    heights, widths = (pixels[:, 2 + axis] - pixels[:, axis] for axis in (0, 1))
    shares = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    counts = np.array([len(image.classes) for image in data.images])
    splits = Counter(image.split or "none" for image in data.images)
    sizes = Counter(f"{image.width}x{image.height}" for image in data.images)
    return DatasetStatistics(
        images=len(data.images),
        background=int((counts == 0).sum()),
        boxes=len(boxes),
        difficult=sum(int(image.difficult.sum()) for image in data.images),
        crowd=sum(int(image.crowd.sum()) for image in data.images),
        classes=_by_class(data, classes, heights * widths),
        splits=tuple(sorted(splits.items())),
        image_sizes=tuple(sizes.most_common(10)),
        aspect_ratios=_histogram(widths / heights, (*_ASPECTS, *_ASPECTS_WIDE)),
        area_shares=_histogram(shares, _SHARES),
        boxes_per_image=_histogram(counts, _COUNTS),
    )


def _by_class(data: DetectionData, classes: np.ndarray, areas: np.ndarray) -> tuple[ClassCount, ...]:
    size = np.digitize(areas, [SMALL_AREA_PIXELS, MEDIUM_AREA_PIXELS])
    images = Counter(number for image in data.images for number in set(image.classes.tolist()))
    counted = []
    for number, name in enumerate(data.labels):
        mine = size[classes == number]
        small, medium, large = (int((mine == bound).sum()) for bound in range(3))
        counted.append(ClassCount(name, images[number], len(mine), (small, medium, large)))
    return tuple(counted)


def _stacked(arrays: Sequence[np.ndarray], empty: tuple[int, ...]) -> np.ndarray:
    return np.concatenate(arrays) if arrays else np.zeros(empty)


def _histogram(values: np.ndarray, bins: Sequence[tuple[float, str]]) -> tuple[tuple[str, int], ...]:
    places = np.digitize(values, [start for start, _ in bins]) - 1
    return tuple((label, int((places == place).sum())) for place, (_, label) in enumerate(bins))
