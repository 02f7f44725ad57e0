"""Random changes of a training picture, its boxes following. Each is a function of a picture and a generator.

Sources of the recipes: W. Liu et al., "SSD" (2016), sections 2.2 and 3.6 (photometric, crop by overlap, zoom out);
A. Bochkovskiy et al., "YOLOv4" (2020), section 3.4 (mosaic).
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image, ImageEnhance

LEAST_OVERLAPS = (None, 0.1, 0.3, 0.5, 0.7, 0.9, 0.0)
"""Least share of overlap with some box that a crop keeps; None keeps the whole picture."""
CROP_TRIES = 50
LEAST_VISIBLE = 0.25
"""Boxes of which a smaller share stays in the picture are dropped."""
MOSAIC_SHARE = 0.3
MOSAIC_SCALES = (0.6, 1.1)
ZOOMED_SHARE = 0.6
"""Share of the pictures that may be zoomed out; half of them are."""
MEAN_GREY = (124, 117, 104)


@dataclass(frozen=True)
class Picture:
    """A picture and its boxes: ``image`` RGB, ``boxes_yxyx`` float32 (n, 4) normalised, ``classes`` int64 (n,)."""

    image: Image.Image
    boxes_yxyx: np.ndarray
    classes: np.ndarray

    def resized(self, size: tuple[int, int]) -> "Picture":
        """Return the picture at ``size`` (height, width) in pixels."""
        if self.image.size == (size[1], size[0]):
            return self
        return replace(self, image=self.image.resize((size[1], size[0]), Image.Resampling.BILINEAR))


Change = Callable[[Picture, np.random.Generator], Picture]


def flip(picture: Picture, random: np.random.Generator) -> Picture:
    """Mirror left and right, half of the time."""
    if random.random() < 0.5:
        return picture
    y_min, x_min, y_max, x_max = picture.boxes_yxyx.T
    boxes = np.stack([y_min, 1 - x_max, y_max, 1 - x_min], axis=-1)
    return replace(picture, image=picture.image.transpose(Image.Transpose.FLIP_LEFT_RIGHT), boxes_yxyx=boxes)


def vertical_flip(picture: Picture, random: np.random.Generator) -> Picture:
    """Turn upside down, half of the time: for pictures from straight above, or through a microscope."""
    if random.random() < 0.5:
        return picture
    y_min, x_min, y_max, x_max = picture.boxes_yxyx.T
    boxes = np.stack([1 - y_max, x_min, 1 - y_min, x_max], axis=-1)
    return replace(picture, image=picture.image.transpose(Image.Transpose.FLIP_TOP_BOTTOM), boxes_yxyx=boxes)


def photometric(picture: Picture, random: np.random.Generator) -> Picture:
    """Change brightness, contrast, saturation and hue, each half of the time, in random order."""
    image = picture.image
    changes = [
        (ImageEnhance.Brightness, 0.4),
        (ImageEnhance.Contrast, 0.4),
        (ImageEnhance.Color, 0.5),
    ]
    for index in random.permutation(len(changes)):
        enhance, reach = changes[index]
        if random.random() < 0.5:
            image = enhance(image).enhance(random.uniform(1 - reach, 1 + reach))
    if random.random() < 0.5:
        hue, saturation, value = image.convert("HSV").split()
        turn = int(random.integers(-13, 14))
        hue = hue.point([(level + turn) % 256 for level in range(256)])
        image = Image.merge("HSV", (hue, saturation, value)).convert("RGB")
    return replace(picture, image=image)


def window(picture: Picture, top: float, left: float, bottom: float, right: float) -> Picture:
    """Cut a window out, given normalised; where it reaches outside the picture the rest is mean grey."""
    width, height = picture.image.size
    pixels = tuple(
        round(edge * side) for edge, side in zip((left, top, right, bottom), (width, height) * 2, strict=True)
    )
    size = (max(pixels[2] - pixels[0], 1), max(pixels[3] - pixels[1], 1))
    image = Image.new("RGB", size, MEAN_GREY)
    image.paste(picture.image, (-pixels[0], -pixels[1]))
    left, top = pixels[0] / width, pixels[1] / height
    scale = np.array([size[1] / height, size[0] / width] * 2)
    moved = (picture.boxes_yxyx - [top, left, top, left]) / scale
    clipped = np.clip(moved, 0, 1)
    kept = area(clipped) >= LEAST_VISIBLE * np.maximum(area(moved), 1e-9)
    return Picture(image, clipped[kept].astype(np.float32), picture.classes[kept])


def area(boxes_yxyx: np.ndarray) -> np.ndarray:
    """Return the area of each box, normalised."""
    return np.prod(np.clip(boxes_yxyx[:, 2:] - boxes_yxyx[:, :2], 0, None), axis=-1)


def zoom_out(picture: Picture, random: np.random.Generator, largest: float = 2.0) -> Picture:
    """Put the picture somewhere on a larger grey canvas, half of the time."""
    if random.random() < 0.5:
        return picture
    scale = random.uniform(1, largest)
    top, left = -random.uniform(0, scale - 1, 2)
    return window(picture, top, left, top + scale, left + scale)


def crop(picture: Picture, random: np.random.Generator) -> Picture:
    """Cut out a part that keeps a drawn share of overlap with some box."""
    least = LEAST_OVERLAPS[random.integers(len(LEAST_OVERLAPS))]
    if least is None or len(picture.boxes_yxyx) == 0:
        return picture
    for _ in range(CROP_TRIES):
        height, width = random.uniform(0.3, 1, 2)
        if not 0.5 <= height / width <= 2:
            continue
        top, left = random.uniform(0, 1 - height), random.uniform(0, 1 - width)
        if _overlaps(picture.boxes_yxyx, (top, left, top + height, left + width)) >= least:
            cut = window(picture, top, left, top + height, left + width)
            if len(cut.boxes_yxyx):
                return cut
    return picture


def _overlaps(boxes_yxyx: np.ndarray, view: tuple[float, float, float, float]) -> float:
    """Return the largest intersection over union of a window with any box."""
    shared = area(np.clip(boxes_yxyx, [view[0], view[1]] * 2, [view[2], view[3]] * 2))
    union = area(boxes_yxyx) + (view[2] - view[0]) * (view[3] - view[1]) - shared
    return float((shared / union).max())


def mosaic(pictures: Sequence[Picture], random: np.random.Generator, size: tuple[int, int]) -> Picture:
    """Join parts of four pictures around a drawn centre into one of ``size`` (height, width).

    A part is drawn so that things keep about the size they have in their picture: half a picture of half-size things
    would teach a detector what it is never shown.
    """
    centre_y, centre_x = random.uniform(0.35, 0.65, 2)
    canvas = Image.new("RGB", (size[1], size[0]), MEAN_GREY)
    boxes, classes = [], []
    corners = [
        (0, 0, centre_y, centre_x),
        (0, centre_x, centre_y, 1),
        (centre_y, 0, 1, centre_x),
        (centre_y, centre_x, 1, 1),
    ]
    for picture, (top, left, bottom, right) in zip(pictures, corners, strict=True):
        part = _part(picture, bottom - top, right - left, random)
        edges = [round(left * size[1]), round(top * size[0]), round(right * size[1]), round(bottom * size[0])]
        tile = part.image.resize((edges[2] - edges[0], edges[3] - edges[1]), Image.Resampling.BILINEAR)
        canvas.paste(tile, (edges[0], edges[1]))
        boxes.append(part.boxes_yxyx * ([bottom - top, right - left] * 2) + [top, left, top, left])
        classes.append(part.classes)
    return Picture(canvas, np.concatenate(boxes).astype(np.float32), np.concatenate(classes))


def _part(picture: Picture, height: float, width: float, random: np.random.Generator) -> Picture:
    """Cut a window out of a picture that, shown at ``height`` and ``width``, is enlarged by a drawn factor."""
    scale = random.uniform(*MOSAIC_SCALES)
    tall, wide = min(1.0, height / scale), min(1.0, width / scale)
    top, left = random.uniform(0, 1 - tall), random.uniform(0, 1 - wide)
    return window(picture, top, left, top + tall, left + wide)


CHANGES = ("flip", "photometric", "zoom_out", "crop", "mosaic", "vertical_flip")


def changed(
    picture: Picture,
    others: Callable[[], Sequence[Picture]],
    changes: Collection[str],
    size: tuple[int, int],
    random: np.random.Generator,
) -> Picture:
    """Apply the ``changes`` that are asked for, in their order, and resize to ``size`` (height, width).

    ``others`` gives the three pictures of a mosaic. Colours are changed last, when there are the fewest pixels.
    """
    if "mosaic" in changes and random.random() < MOSAIC_SHARE:
        picture = mosaic([picture, *others()], random, size)
    else:
        picture = zoom_out(picture, random) if "zoom_out" in changes and random.random() < ZOOMED_SHARE else picture
        picture = crop(picture, random) if "crop" in changes else picture
    picture = flip(picture, random) if "flip" in changes else picture
    picture = vertical_flip(picture, random) if "vertical_flip" in changes else picture
    picture = picture.resized(size)
    return photometric(picture, random) if "photometric" in changes else picture
