"""Boxes drawn on a picture, with a word on each."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

# Colours that differ in hue and lightness, so that neighbours are told apart (Okabe and Ito, 2008).
COLOURS = ((230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (0, 114, 178), (213, 94, 0), (204, 121, 167))
PAPER = (255, 255, 255)
INK = (20, 20, 20)
_LEAST_TYPE = 11
_BRIGHT = 300


def colour_of(label: int) -> tuple[int, int, int]:
    """Return the colour of a class, by its number."""
    return COLOURS[label % len(COLOURS)]


def draw_boxes(
    picture: np.ndarray, boxes_yxyx: np.ndarray, captions: Sequence[str], colours: Sequence[tuple[int, int, int]]
) -> np.ndarray:
    """Return a copy of ``picture`` (uint8 RGB) with boxes (fractions, yxyx, shape (n, 4)) and a caption on each.

    Lines and words grow with the picture. Later boxes lie over earlier ones, and all words over all boxes.
    """
    image = Image.fromarray(picture)
    draw, line = ImageDraw.Draw(image), max(1, round(max(image.size) / 200))
    font = ImageFont.load_default(max(_LEAST_TYPE, round(max(image.size) / 55)))
    places = [_place(box, image.size) for box in np.asarray(boxes_yxyx, np.float64).reshape(-1, 4).tolist()]
    for place, colour in zip(places, colours, strict=True):
        draw.rectangle(place, outline=colour, width=line)
    for place, caption, colour in zip(places, captions, colours, strict=True):
        if caption:
            _write(draw, caption, place, colour, font, image.size)
    return np.array(image)


def _place(box: Sequence[float], size: tuple[int, int]) -> tuple[float, float, float, float]:
    """Return a box as left, top, right, bottom in pixels of a picture of ``size`` (width, height)."""
    top, left, bottom, right = box
    left, top, right, bottom = left * size[0], top * size[1], right * size[0] - 1, bottom * size[1] - 1
    return left, top, max(left, right), max(top, bottom)


def _write(
    draw: ImageDraw.ImageDraw,
    caption: str,
    place: tuple[float, float, float, float],
    colour: tuple[int, int, int],
    font: "ImageFont.FreeTypeFont | ImageFont.ImageFont",
    size: tuple[int, int],
) -> None:
    """Write ``caption`` on its colour above the box, or inside it where there is no room above."""
    right, bottom = draw.textbbox((0, 0), caption, font=font)[2:]
    width, height = right + 4, bottom + 3
    x = max(0.0, min(place[0], size[0] - width))
    y = place[1] - height if place[1] >= height else min(place[1], size[1] - height)
    draw.rectangle((x, y, x + width, y + height), fill=colour)
    draw.text((x + 2, y + 1), caption, fill=INK if sum(colour) > _BRIGHT else PAPER, font=font)
