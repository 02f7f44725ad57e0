"""Which images validate: as the data itself says, else contiguous blocks; never two copies of one image apart."""

import re
from collections.abc import Hashable, Sequence

import numpy as np

from trainbox.data.files import FileReference
from trainbox.data.problems import Problems
from trainbox.data.split import blocks
from trainbox.errors import DataError
from trainbox.tasks.detect.dataset import AnnotatedImage
from trainbox.tasks.detect.formats.splits import TEST, TRAIN, VALIDATION

# Long enough to keep frames of one film together, short enough that a few hundred images give several blocks.
BLOCK_IMAGES = 20


def split_images(
    images: Sequence[AnnotatedImage], fraction: float, seed: int, problems: Problems
) -> tuple[np.ndarray, str]:
    """Return each image's split ("train", "validation" or "test", shape (n,)), and where it came from, for a person.

    The data's own split is kept where it names images to train on and others. Where it names none to validate on,
    its test images validate. Without one, ``fraction`` of the images, in contiguous blocks drawn by ``seed``,
    validates; images of one source are kept together. Images without a split of their own train where others have
    one. Copies of an image on two sides are moved to training and counted. Raises DataError for fewer than two images.
    """
    if len(images) < 2:
        raise DataError(f"Too few images to train and validate on. Received: {len(images)}. Give at least 2.")
    own = np.array([image.split or TRAIN for image in images], dtype=object)
    said = set(own)
    if TRAIN in said and len(said) > 1:
        origin = "the data's own split"
        if VALIDATION not in said:
            own[own == TEST] = VALIDATION
            origin += " (its test images validate)"
    else:
        own[:] = TRAIN
        own[_drawn(images, fraction, seed)] = VALIDATION
        origin = "contiguous blocks in the order of file names"
    _move_copies(own, images, problems)
    if not (own == VALIDATION).any():
        raise DataError("No image is left to validate on: all are copies of images to train on. Give other images.")
    return own, origin


def _drawn(images: Sequence[AnnotatedImage], fraction: float, seed: int) -> np.ndarray:
    """Return which images validate: bool, shape (n,)."""
    sources = [image.source_id for image in images]
    # A source of few images is a film or a scene; where every image has its own, the order of names tells neighbours.
    by_source = 1 < len(set(sources)) <= len(images) // 2
    units: list[Hashable] = list(sources) if by_source else list(range(len(images)))
    order = list(dict.fromkeys(units[place] for place in sorted(range(len(images)), key=lambda at: _name(images[at]))))
    length = 1 if by_source else max(1, min(BLOCK_IMAGES, round(len(order) * fraction / 4)))
    chosen = blocks([0] * len(order), fraction, seed, length)
    validating = {unit for unit, validates in zip(order, chosen, strict=True) if validates}
    return np.array([unit in validating for unit in units], bool)


def _name(image: AnnotatedImage) -> list[tuple[int, str]]:
    """Return a key that sorts "frame-9" before "frame-10", as they were taken: records are often shuffled."""
    name = image.image.name if isinstance(image.image, FileReference) else image.file_name
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)]


def _move_copies(splits: np.ndarray, images: Sequence[AnnotatedImage], problems: Problems) -> None:
    places: dict[bytes, list[int]] = {}
    for place, image in enumerate(images):
        places.setdefault(image.digest, []).append(place)
    for copies in places.values():
        if len(copies) < 2:
            continue
        problems.warn("image is there more than once", str(images[copies[1]].image), len(copies) - 1)
        if len({splits[place] for place in copies}) < 2:
            continue
        for place in copies:
            if splits[place] != TRAIN:
                problems.warn("copy of an image of another split is moved to training", str(images[place].image))
            splits[place] = TRAIN
