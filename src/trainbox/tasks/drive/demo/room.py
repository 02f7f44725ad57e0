"""The room that a track lies in, painted as one flat atlas of texels: floor, ceiling and four walls.

A surface is a grid of texels; the floor is kept at several sizes, each half the one before, so that what is far away
does not flicker. The atlas holds packed colours (uint32: red + 256 green + 65536 blue): one look-up each.
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

from trainbox.tasks.drive.demo.track import LANE_METRES, ROOM_METRES, SPACING_METRES, Track

CEILING_METRES = 2.8
WALL_TEXELS_PER_METRE = 40
CEILING_TEXELS_PER_METRE = 20
FLOOR_TEXELS_PER_METRE = (200, 100, 50, 25)

_TAPE_METRES = 0.05
_DASH_METRES = (0.25, 0.3)
_CARPETS = ((92, 88, 84), (70, 78, 92), (104, 92, 78), (78, 86, 80), (112, 112, 110))
_WALL_PAINTS = ((196, 192, 182), (178, 190, 196), (200, 186, 160), (170, 170, 174))
_EDGE_TAPES = ((232, 232, 226), (226, 228, 236))
_CENTRE_TAPES = ((228, 188, 40), (236, 200, 24), (222, 120, 36))


@dataclass(frozen=True)
class Surface:
    """Where a grid of texels begins in the atlas, its row length, and its texels per metre."""

    start: int
    stride: int
    texels_per_metre: int


@dataclass(frozen=True)
class Room:
    """The painted room. ``texels`` uint32 (n,); ``floors`` from finest to coarsest; a wall's rows rise from the floor.

    ``walls`` are those at x = 0, x = length, y = 0, y = width: their columns run along the other axis.
    """

    texels: np.ndarray
    floors: tuple[Surface, ...]
    ceiling: Surface
    walls: tuple[Surface, ...]


def paint_room(track: Track, random: np.random.Generator) -> Room:
    """Paint a room around ``track``: carpet and tape, walls with what stands along them, a ceiling with lamps."""
    floor = _paint_floor(track, random)
    levels = [floor]
    for _ in FLOOR_TEXELS_PER_METRE[1:]:
        levels.append(_halve(levels[-1]))
    paint = np.array(_WALL_PAINTS[random.integers(len(_WALL_PAINTS))])
    spans = (ROOM_METRES[1], ROOM_METRES[1], ROOM_METRES[0], ROOM_METRES[0])
    walls = [_paint_wall(span, paint, random) for span in spans]
    ceiling = _paint_ceiling(random)
    surfaces, start = [], 0
    densities = [*FLOOR_TEXELS_PER_METRE, CEILING_TEXELS_PER_METRE] + [WALL_TEXELS_PER_METRE] * 4
    for pixels, density in zip([*levels, ceiling, *walls], densities, strict=True):
        surfaces.append(Surface(start, pixels.shape[1], density))
        start += pixels.shape[0] * pixels.shape[1]
    texels = np.concatenate([_pack(pixels) for pixels in [*levels, ceiling, *walls]])
    kept = len(levels)
    return Room(texels, tuple(surfaces[:kept]), surfaces[kept], tuple(surfaces[kept + 1 :]))


def _pack(pixels: np.ndarray) -> np.ndarray:
    red, green, blue = np.clip(pixels, 0, 255).astype(np.uint32).reshape(-1, 3).T
    return red | green << np.uint32(8) | blue << np.uint32(16)


def _halve(pixels: np.ndarray) -> np.ndarray:
    return (pixels[::2, ::2] + pixels[1::2, ::2] + pixels[::2, 1::2] + pixels[1::2, 1::2]) / 4


def _paint_floor(track: Track, random: np.random.Generator) -> np.ndarray:
    """Return float32 (width, length, 3): speckled carpet, lit unevenly, with three lines of soft-edged tape."""
    density = FLOOR_TEXELS_PER_METRE[0]
    shape = round(ROOM_METRES[1] * density), round(ROOM_METRES[0] * density)
    carpet = np.array(_CARPETS[random.integers(len(_CARPETS))], np.float32) * np.float32(random.uniform(0.8, 1.25))
    speckle = random.standard_normal((shape[0], shape[1], 1), dtype=np.float32) * 0.15
    pixels = carpet * (1 + speckle + _blotches(shape, 8, random) * 0.05)
    _lay_tapes(pixels, track, random)
    pixels *= 1 + _blotches(shape, 3, random) * 0.12
    softened = pixels[:-1] + pixels[1:]
    pixels[1:, 1:] = (softened[:, :-1] + softened[:, 1:]) / 4
    return pixels


def _blotches(shape: tuple[int, int], cells: int, random: np.random.Generator) -> np.ndarray:
    """Return smooth noise of about unit deviation, float32 (height, width, 1)."""
    coarse = random.standard_normal((cells, cells)).astype(np.float32)
    smooth = Image.fromarray(coarse).resize((shape[1], shape[0]), Image.Resampling.BICUBIC)
    return np.asarray(smooth)[..., None]


def _lay_tapes(pixels: np.ndarray, track: Track, random: np.random.Generator) -> None:
    edge = np.array(_EDGE_TAPES[random.integers(len(_EDGE_TAPES))])
    centre = np.array(_CENTRE_TAPES[random.integers(len(_CENTRE_TAPES))])
    dash, gap = _DASH_METRES
    along = np.arange(0, len(track.points), 0.1)
    dashed = along[along * SPACING_METRES % (dash + gap) < dash]
    for side, tape, places in ((-1, edge, along), (1, edge, along), (0, centre, dashed)):
        _lay_tape(pixels, track, side * LANE_METRES / 2, tape, places, random)


def _lay_tape(
    pixels: np.ndarray, track: Track, offset: float, tape: np.ndarray, places: np.ndarray, random: np.random.Generator
) -> None:
    """Paint every texel between the tape's two edges; people do not lay tape quite straight."""
    count = len(track.points)
    turn = places * 2 * np.pi / count
    across = np.arange(-_TAPE_METRES / 2, _TAPE_METRES / 2, 0.002)
    sideways = offset + 0.008 * _wobble(turn, 5, 14, random) + across[:, None]
    closed = np.unwrap(np.append(track.headings, track.headings[0]))
    heading = np.interp(places, np.arange(count + 1), closed)
    x, y = (np.interp(places, np.arange(count + 1), np.append(line, line[0])) for line in track.points.T)
    density = FLOOR_TEXELS_PER_METRE[0]
    columns = ((x - np.sin(heading) * sideways) * density).astype(int)
    rows = ((y + np.cos(heading) * sideways) * density).astype(int)
    worn = 0.95 + 0.04 * _wobble(turn, 10, 80, random) + random.standard_normal(columns.shape) * 0.02
    pixels[rows, columns] = tape * worn[..., None]


def _wobble(turn: np.ndarray, fewest: int, most: int, random: np.random.Generator) -> np.ndarray:
    """Return waves that close after a turn of 2 pi, about unit deviation: float64, the shape of ``turn``."""
    waves = random.integers(fewest, most, 6)[:, None] * turn + random.uniform(0, 2 * np.pi, (6, 1))
    return np.cos(waves).sum(axis=0) / np.sqrt(3)


def _paint_wall(span: float, paint: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Return float32 (height, length, 3), the floor's edge first: a skirting, then doors, windows, boxes, posters."""
    density = WALL_TEXELS_PER_METRE
    height, length = round(CEILING_METRES * density), round(span * density)
    wall = np.full((height, length, 3), paint * random.uniform(0.75, 1.05), np.float32)
    wall *= np.linspace(0.8, 1.08, height)[:, None, None]
    place = random.uniform(0, 0.5)
    while place < span - 0.3:
        place += _hang(wall, place, random) + random.uniform(0.1, 0.9)
    wall[:4] *= 0.45
    blurred = Image.fromarray(np.clip(wall, 0, 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(1))
    return np.asarray(blurred, np.float32)


def _hang(wall: np.ndarray, place: float, random: np.random.Generator) -> float:
    """Paint one thing that begins ``place`` metres along the wall; return its width in metres."""
    kind = random.choice(["window", "door", "shelf", "poster", "box", "screen"])
    width, low, high = {
        "window": (random.uniform(0.9, 1.8), 0.9, 2.2),
        "door": (0.9, 0.0, 2.05),
        "shelf": (random.uniform(0.6, 1.6), 0.0, random.uniform(1.0, 2.0)),
        "poster": (random.uniform(0.4, 0.9), 1.0, random.uniform(1.5, 2.0)),
        "box": (random.uniform(0.3, 0.8), 0.0, random.uniform(0.25, 0.7)),
        "screen": (random.uniform(0.8, 1.4), 0.8, 1.5),
    }[str(kind)]
    density = WALL_TEXELS_PER_METRE
    area = wall[round(low * density) : round(high * density), round(place * density) : round((place + width) * density)]
    colour = random.uniform(30, 190) + random.normal(0, 28, 3)
    if kind == "window":
        area[:] = (225, 235, 250)
        area[:, :: max(area.shape[1] // 3, 1)] = 90
    elif kind == "screen":
        area[:] = 22
    elif kind == "shelf":
        spines = area.shape[0] // 10 + 1, area.shape[1] // 4 + 1
        books = random.uniform(25, 150, (*spines, 1)) + random.normal(0, 25, (*spines, 3))
        area[:] = books.repeat(10, axis=0).repeat(4, axis=1)[: area.shape[0], : area.shape[1]]
        area[::10] = 50
    else:
        area[:] = colour
    return float(width)


def _paint_ceiling(random: np.random.Generator) -> np.ndarray:
    """Return float32 (width, length, 3): tiles with rows of lamps."""
    density = CEILING_TEXELS_PER_METRE
    ceiling = np.full((round(ROOM_METRES[1] * density), round(ROOM_METRES[0] * density), 3), 150, np.float32)
    ceiling[:: density // 2] *= 0.85
    ceiling[:, :: density // 2] *= 0.85
    step, first = int(random.integers(30, 45)), int(random.integers(5, 25))
    for row in range(first, ceiling.shape[0] - 8, step):
        for column in range(first, ceiling.shape[1] - 26, 50):
            ceiling[row : row + 6, column : column + 24] = 255
    return ceiling
