"""Pictures of shapes on textures, with the boxes that they fill: drawn, so that the truth is known to the pixel."""

import io
import math
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

SHAPES = ("disc", "square", "star", "triangle")
HEIGHT, WIDTH = 240, 320
# Shapes are drawn larger and scaled down, for smooth edges.
_OVERSAMPLING = 3
_LARGEST_OVERLAP = 0.1
_CLOUDS = 12


@dataclass(frozen=True)
class Scene:
    """A picture: ``jpeg`` bytes, and the boxes (pixels, yxyx, int64 (n, 4)) and names of what is on it."""

    jpeg: bytes
    boxes_yxyx: np.ndarray
    names: tuple[str, ...]


class Painter:
    """Draws the pictures of one seed; the same seed and number give the same bytes."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        random = np.random.default_rng([seed])
        # Drawing noise takes most of the time, so a picture takes pieces of a few that are drawn once.
        self._clouds = np.stack([_clouds(random) for _ in range(_CLOUDS)])

    def draw(self, number: int) -> Scene:
        """Draw a picture of up to six shapes. One in twelve is empty: background."""
        random = np.random.default_rng([self._seed, number])
        picture = self._texture(random, contrast=45)
        boxes: list[tuple[int, int, int, int]] = []
        names: list[str] = []
        for _ in range(0 if random.random() < 1 / 12 else int(random.integers(1, 7))):
            name = SHAPES[int(random.integers(len(SHAPES)))]
            mask = _mask(name, random)
            box = _bounds(mask)
            if box is None or any(_overlap(box, other) > _LARGEST_OVERLAP for other in boxes):
                continue
            picture += (self._fill(picture, mask, random) - picture) * mask[..., None]
            boxes.append(box)
            names.append(name)
        return Scene(_photograph(picture, random), np.array(boxes, np.int64).reshape(-1, 4), tuple(names))

    def _texture(self, random: np.random.Generator, contrast: float) -> np.ndarray:
        """Return cloudy noise around one colour: float32 (height, width, 3)."""
        layers = self._clouds[random.integers(0, _CLOUDS, 3)]
        top, left = random.integers(0, HEIGHT), random.integers(0, WIDTH)
        pieces = layers[:, top : top + HEIGHT, left : left + WIDTH]
        colour = random.uniform(40, 215, 3).astype(np.float32)
        return np.ascontiguousarray(np.moveaxis(pieces, 0, -1)) * np.float32(contrast) + colour

    def _fill(self, picture: np.ndarray, mask: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """Return a texture of a colour that differs from what it is laid over, sometimes striped."""
        filling = self._texture(random, contrast=18)
        below = (picture * mask[..., None]).sum(axis=(0, 1)) / mask.sum()
        if np.abs(filling.mean(axis=(0, 1)) - below).max() < 60:
            filling += np.where(below < 128, 90, -90).astype(np.float32)
        if random.random() < 0.3:
            stripes = np.sin(np.arange(WIDTH) * random.uniform(0.2, 0.9) + random.uniform(0, 6))
            filling += 25 * stripes.astype(np.float32)[None, :, None]
        return filling


def _clouds(random: np.random.Generator) -> np.ndarray:
    """Return noise of several scales around 0, of deviation 1: float32, twice as high and wide as a picture."""
    noise = np.zeros((2 * HEIGHT, 2 * WIDTH), np.float32)
    for cells in (6, 16, 48, 160):
        grid = random.normal(0, 1 / math.sqrt(cells), (cells * 3 // 4, cells)).astype(np.float32)
        noise += np.asarray(Image.fromarray(grid).resize((2 * WIDTH, 2 * HEIGHT), Image.Resampling.BICUBIC))
    return np.asarray(noise / noise.std(), np.float32)


def _mask(name: str, random: np.random.Generator) -> np.ndarray:
    """Return how much of each pixel a shape of random place, size and turn covers: float32 (height, width), 0 to 1."""
    radius = float(np.exp(random.uniform(np.log(12), np.log(60))))
    # Shapes may be cut off by the edge, but not so far that nobody could tell them.
    margin = 0.4 * radius
    centre = random.uniform((margin, margin), (WIDTH - margin, HEIGHT - margin))
    turn = random.uniform(0, 2 * math.pi)
    outline = np.array(_outline(name, turn)) * radius + centre
    large = Image.new("L", (WIDTH * _OVERSAMPLING, HEIGHT * _OVERSAMPLING))
    ImageDraw.Draw(large).polygon((outline * _OVERSAMPLING).ravel().tolist(), fill=255)
    return np.asarray(large.reduce(_OVERSAMPLING), np.float32) / 255


def _outline(name: str, turn: float) -> list[tuple[float, float]]:
    corners = {"disc": 48, "square": 4, "star": 10, "triangle": 3}[name]
    reach = [0.45 if name == "star" and corner % 2 else 1.0 for corner in range(corners)]
    angles = [turn + 2 * math.pi * corner / corners for corner in range(corners)]
    return [(far * math.cos(angle), far * math.sin(angle)) for far, angle in zip(reach, angles, strict=True)]


def _bounds(mask: np.ndarray) -> tuple[int, int, int, int] | None:
    """Return the box (ymin, xmin, ymax, xmax) of what is seen of a shape, None where it is too little to tell."""
    rows, columns = np.flatnonzero((mask > 0.5).any(axis=1)), np.flatnonzero((mask > 0.5).any(axis=0))
    if not len(rows) or len(rows) < 10 or len(columns) < 10:
        return None
    return int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1


def _overlap(one: tuple[int, int, int, int], other: tuple[int, int, int, int]) -> float:
    """Return the intersection over the smaller box's area."""
    height = min(one[2], other[2]) - max(one[0], other[0])
    width = min(one[3], other[3]) - max(one[1], other[1])
    if height <= 0 or width <= 0:
        return 0.0
    return height * width / min((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other))


def _photograph(picture: np.ndarray, random: np.random.Generator) -> bytes:
    """Return the picture as a camera of sorts gives it: light, blur, noise, JPEG."""
    lit = picture * random.uniform(0.7, 1.15) + random.uniform(0, 6) * random.standard_normal(picture.shape, np.float32)
    image = Image.fromarray(np.clip(lit, 0, 255).astype(np.uint8)).filter(
        ImageFilter.GaussianBlur(random.uniform(0, 1))
    )
    buffer = io.BytesIO()
    image.save(buffer, format="JPEG", quality=88)
    return buffer.getvalue()
