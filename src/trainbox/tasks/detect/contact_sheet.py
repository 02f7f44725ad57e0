"""A sheet of a data set's images with their boxes drawn: the quickest way to see that boxes lie where they should."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from trainbox.data.files import UnreadableFile
from trainbox.data.images import decode_rgb
from trainbox.tasks.detect.dataset import AnnotatedImage, DetectionData
from trainbox.tasks.detect.draw import INK, PAPER, colour_of, draw_boxes

_GAP = 6
_CAPTION = 14
_GOLDEN = (5**0.5 - 1) / 2
"""Its multiples, less their whole part, fill 0 to 1 evenly however few are taken."""


def draw_contact_sheet(data: DetectionData, count: int = 24, columns: int = 6, tile: int = 240) -> np.ndarray:
    """Return a picture of ``count`` images with boxes and class names: uint8, shape (height, width, 3).

    The images are spread over the data so that every class is seen where possible; ``tile`` is a side in pixels.
    Unreadable images are passed over.
    """
    tiles = [drawn for place in choose_images(data, count) if (drawn := _tile(data, data.images[place], tile))]
    columns = max(1, min(columns, len(tiles)))
    rows = -(-len(tiles) // columns)
    step = (tile + _GAP, max([_CAPTION, *(drawn.height for drawn in tiles)]) + _GAP)
    sheet = Image.new("RGB", (columns * step[0] + _GAP, max(rows, 1) * step[1] + _GAP), PAPER)
    for place, drawn in enumerate(tiles):
        sheet.paste(drawn, (_GAP + place % columns * step[0], _GAP + place // columns * step[1]))
    return np.array(sheet)


def choose_images(data: DetectionData, count: int) -> list[int]:
    """Return the places of up to ``count`` images: each class in turn its next image, rarest first, then background."""
    by_class: dict[int, list[int]] = {number: [] for number in range(-1, len(data.labels))}
    for place, image in enumerate(data.images):
        for number in set(image.classes.tolist()) or {-1}:
            by_class[number].append(place)
    # A few of the background are enough to see that it is kept.
    by_class[-1] = _spread(by_class[-1], count // 8)
    spread = [_spread(places, count) for _, places in sorted(by_class.items(), key=lambda item: len(item[1])) if places]
    chosen: dict[int, None] = {}
    for turn in range(count):
        for places in spread:
            if turn < len(places) and len(chosen) < count:
                chosen[places[turn]] = None
    return sorted(chosen)


def _spread(places: Sequence[int], count: int) -> list[int]:
    """Return up to ``count`` of ``places`` at equal distances, so ordered that the first few are spread as well."""
    wanted = np.linspace(0, len(places) - 1, min(count, len(places)))
    order = np.argsort(np.arange(len(wanted)) * _GOLDEN % 1, kind="stable")
    return [places[int(wanted[place])] for place in order]


def _tile(data: DetectionData, image: AnnotatedImage, side: int) -> Image.Image | None:
    try:
        pixels, _ = decode_rgb(image.image.read())
    except UnreadableFile:
        return None
    scale = side / max(pixels.shape[:2])
    shown = Image.fromarray(pixels).resize(
        (max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale)))
    )
    names = [data.labels[number] for number in image.classes]
    # Many boxes leave no room for words.
    captions = names if len(names) <= 12 else [""] * len(names)
    colours = [colour_of(int(number)) for number in image.classes]
    drawn = Image.fromarray(draw_boxes(np.array(shown), image.boxes_yxyx, captions, colours))
    tile = Image.new("RGB", (side, drawn.height + _CAPTION), PAPER)
    tile.paste(drawn, ((side - drawn.width) // 2, 0))
    said = f"{image.file_name} {image.split}".strip()
    ImageDraw.Draw(tile).text((2, drawn.height + 1), said[-44:], fill=INK, font=ImageFont.load_default(10))
    return tile
