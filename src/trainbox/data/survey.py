"""Every image decoded once, in parallel, and only what it was like kept: what ``check`` says of a data set."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from trainbox.data.cache import ImageSource
from trainbox.data.files import UnreadableFile
from trainbox.data.images import decode_rgb
from trainbox.data.workers import in_processes

CHUNK_IMAGES = 64


@dataclass(frozen=True)
class ImageSurvey:
    """What a set of images is like, in the order they were given.

    ``unreadable`` and ``odd`` hold (position, reason); ``sizes`` counts (height, width) in pixels; ``readable`` is
    bool, shape (n,).
    """

    readable: np.ndarray
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    unreadable: list[tuple[int, str]] = field(default_factory=list)
    odd: list[tuple[int, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Look:
    """What one image was like: ``size`` (height, width), or the reason why it is unreadable."""

    size: tuple[int, int] | None
    reason: str = ""
    notes: tuple[str, ...] = ()


def survey_images(images: Sequence[ImageSource], workers: int | None = None) -> ImageSurvey:
    """Decode every image in ``workers`` processes (one a processor where None) and say what they are like."""
    survey = ImageSurvey(np.zeros(len(images), bool))
    chunks = [range(start, min(start + CHUNK_IMAGES, len(images))) for start in range(0, len(images), CHUNK_IMAGES)]
    for chunk, looks in zip(chunks, in_processes(_Looker(images), chunks, workers), strict=True):
        for index, look in zip(chunk, looks, strict=True):
            survey.odd.extend((index, note) for note in look.notes)
            if look.size is None:
                survey.unreadable.append((index, look.reason))
            else:
                survey.readable[index] = True
                survey.sizes[look.size] += 1
    return survey


@dataclass(frozen=True)
class _Looker:
    images: Sequence[ImageSource]

    def __call__(self, chunk: range) -> list[Look]:
        return [look_at(self.images[index]) for index in chunk]


def look_at(image: ImageSource) -> Look:
    """Decode one image; say its size, or why it has none."""
    try:
        pixels, notes = decode_rgb(image.read())
    except UnreadableFile as error:
        return Look(None, error.reason)
    return Look((pixels.shape[0], pixels.shape[1]), notes=notes)
