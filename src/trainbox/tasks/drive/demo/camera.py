"""A tilted wide-angle camera on the nose of the car: frames of the room from where the car was.

Each pixel looks along a fixed ray of the car. Where the ray meets the floor, the ceiling or a wall is plain geometry of
a box, done for many frames at once; the atlas of the room is then looked up, and a cheap sensor's faults are added.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from os import cpu_count

import numpy as np

from trainbox.tasks.drive.demo.room import CEILING_METRES, Room, Surface
from trainbox.tasks.drive.demo.track import ROOM_METRES

WIDTH, HEIGHT = 160, 120

_FINER = 2
"""Rays per pixel in each direction."""
_BOUNCE_PIXELS = 3
"""How far the frame may jump up and down; so many rows more are rendered above and below."""
_CAMERA_METRES = (0.08, 0.15)
"""Ahead of the car's middle, and above the floor."""
_TILT_RADIANS = 0.28
_FOCAL_PIXELS = 62.0
_BARREL = 0.1
_MIDDLE_GREY = 110
_FRAMES_AT_ONCE = 8
"""Few enough that what is computed for them stays in the processor's cache."""
_NOISE_VALUES = 1_000_003


@dataclass(frozen=True)
class Light:
    """How a session is lit, and how its camera saw it: a gain, a gain per channel, contrast, and noise deviation."""

    gain: float
    balance: tuple[float, float, float]
    contrast: float
    noise: float


def draw_light(random: np.random.Generator) -> Light:
    """Draw the light of one session."""
    balance = random.uniform(0.93, 1.07, 3)
    return Light(
        gain=float(random.uniform(0.75, 1.2)),
        balance=(float(balance[0]), float(balance[1]), float(balance[2])),
        contrast=float(random.uniform(0.9, 1.15)),
        noise=float(random.uniform(2.5, 5.5)),
    )


def photograph(room: Room, poses: np.ndarray, light: Light, seed: int) -> Iterator[np.ndarray]:
    """Yield one frame per pose (x, y in metres, heading in radians), uint8 (HEIGHT, WIDTH, 3) RGB, in order.

    Frames do not depend on the number of processors.
    """
    camera = _Camera(room)
    film = _Film(light, seed)
    starts = range(0, len(poses), _FRAMES_AT_ONCE)

    def shoot(start: int) -> np.ndarray:
        batch = poses[start : start + _FRAMES_AT_ONCE].astype(np.float32)
        return film.develop(camera.expose(batch), start)

    with ThreadPoolExecutor(min(cpu_count() or 1, 8)) as pool:
        for frames in pool.map(shoot, starts):
            yield from frames


class _Camera:
    """Rays of one camera, and where in the atlas they end. Threads share it: nothing changes after ``__init__``."""

    def __init__(self, room: Room) -> None:
        self.room = room
        forward, left, up = _rays()
        self.sky_rows = int(np.argmax((-_CAMERA_METRES[1] / np.minimum(up, -1e-6)).max(axis=1) < 0.5))
        self.forward, self.left, self.up = forward, left, up
        down = up < 0
        self.reach = np.where(down, -_CAMERA_METRES[1], CEILING_METRES - _CAMERA_METRES[1]) / up
        self.surfaces = _surface_per_ray(room, down, self.reach * np.hypot(forward, left))

    def expose(self, poses: np.ndarray) -> np.ndarray:
        """Return packed colours uint32 (n, rows, columns) of every ray from ``poses`` float32 (n, 3)."""
        heading = poses[:, 2, None, None]
        cosine, sine = np.cos(heading), np.sin(heading)
        x = poses[:, 0, None, None] + cosine * np.float32(_CAMERA_METRES[0])
        y = poses[:, 1, None, None] + sine * np.float32(_CAMERA_METRES[0])
        texels = np.empty((len(poses), *self.up.shape), np.int32)
        rows = slice(0, self.sky_rows)
        texels[:, rows] = self._box(rows, cosine, sine, x, y)
        rows = slice(self.sky_rows, None)
        along, across = self._directions(rows, cosine, sine)
        texels[:, rows] = self._flat(rows, x + along * self.reach[rows], y + across * self.reach[rows])
        return self.room.texels[texels]

    def _directions(self, rows: slice, cosine: np.ndarray, sine: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        forward, left = self.forward[rows], self.left[rows]
        return forward * cosine - left * sine, forward * sine + left * cosine

    def _flat(self, rows: slice, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Return the texel of the floor or ceiling at x, y; those outside the room are of no meaning but in bounds."""
        start, stride, density = (grid[rows] for grid in self.surfaces)
        x = np.clip(x, 0, ROOM_METRES[0] - 0.01)
        y = np.clip(y, 0, ROOM_METRES[1] - 0.01)
        return start + (y * density).astype(np.int32) * stride + (x * density).astype(np.int32)

    def _box(self, rows: slice, cosine: np.ndarray, sine: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        along, across = self._directions(rows, cosine, sine)
        along[along == 0] = across[across == 0] = np.float32(1e-9)
        far_x, far_y = along > 0, across > 0
        reach_x = (far_x * np.float32(ROOM_METRES[0]) - x) / along
        reach_y = (far_y * np.float32(ROOM_METRES[1]) - y) / across
        reach_wall = np.minimum(reach_x, reach_y)
        reach = self.reach[rows]
        flat = self._flat(rows, x + along * reach, y + across * reach)
        return np.where(
            reach < reach_wall,
            flat,
            self._wall(
                rows, reach_wall, reach_x < reach_y, far_x, far_y, (x + along * reach_wall, y + across * reach_wall)
            ),
        )

    def _wall(
        self,
        rows: slice,
        reach: np.ndarray,
        ends_at_x: np.ndarray,
        far_x: np.ndarray,
        far_y: np.ndarray,
        hit: tuple[np.ndarray, np.ndarray],
    ) -> np.ndarray:
        walls = self.room.walls
        density = np.float32(walls[0].texels_per_metre)
        starts = np.array([wall.start for wall in walls], np.int32)
        strides = np.array([wall.stride for wall in walls], np.int32)
        which = np.where(ends_at_x, far_x, far_y.astype(np.int8) + 2)
        place = np.where(ends_at_x, hit[1], hit[0])
        stride = strides[which]
        column = np.clip((place * density).astype(np.int32), 0, stride - 1)
        height = np.clip(_CAMERA_METRES[1] + self.up[rows] * reach, 0, CEILING_METRES - 0.05)
        return starts[which] + (height * density).astype(np.int32) * stride + column


def _rays() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return forward, left and up components of each ray, float32 (rows, columns), for a level car."""
    rows, columns = (HEIGHT + 2 * _BOUNCE_PIXELS) * _FINER, WIDTH * _FINER
    right = (np.arange(columns) + 0.5 - columns / 2) / _FINER / _FOCAL_PIXELS
    below = (np.arange(rows) + 0.5 - rows / 2) / _FINER / _FOCAL_PIXELS
    right, below = np.meshgrid(right, below)
    barrel = 1 + _BARREL * (right**2 + below**2)
    right, below = right * barrel, below * barrel
    forward = np.cos(_TILT_RADIANS) - below * np.sin(_TILT_RADIANS)
    up = -np.sin(_TILT_RADIANS) - below * np.cos(_TILT_RADIANS)
    up[np.abs(up) < 1e-4] = 1e-4
    return forward.astype(np.float32), -right.astype(np.float32), up.astype(np.float32)


def _surface_per_ray(room: Room, down: np.ndarray, distance: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return start and stride (int32) and texels per metre (float32) of the flat surface that each ray can meet."""
    width_of_ray = distance / _FOCAL_PIXELS / _FINER
    level = np.clip(np.log2(np.maximum(width_of_ray * room.floors[0].texels_per_metre, 1)), 0, len(room.floors) - 1)
    surfaces: tuple[Surface, ...] = (*room.floors, room.ceiling)
    which = np.where(down, level.astype(int), len(room.floors))
    return (
        np.array([surface.start for surface in surfaces], np.int32)[which],
        np.array([surface.stride for surface in surfaces], np.int32)[which],
        np.array([surface.texels_per_metre for surface in surfaces], np.float32)[which],
    )


class _Film:
    """What the sensor makes of the light: bounce, exposure that drifts, vignette, contrast, noise."""

    def __init__(self, light: Light, seed: int) -> None:
        self.seed = seed
        random = np.random.default_rng([seed, 0])
        self.drift = random.uniform(0, 2 * np.pi, 2)
        rows, columns = np.mgrid[-1 : 1 : HEIGHT * 1j, -1 : 1 : WIDTH * 1j]
        balance = np.array(light.balance) * light.gain * light.contrast / _FINER**2
        self.gain = ((1 - 0.16 * (rows**2 + columns**2)) * balance[:, None, None]).astype(np.float32)
        self.noise = random.standard_normal(_NOISE_VALUES, dtype=np.float32) * np.float32(light.noise)
        self.noise += np.float32(_MIDDLE_GREY * (1 - light.contrast))

    def develop(self, packed: np.ndarray, start: int) -> np.ndarray:
        """Return uint8 (n, HEIGHT, WIDTH, 3) of packed colours whose first frame is number ``start``."""
        random = np.random.default_rng([self.seed, 1, start])
        frames = np.empty((len(packed), HEIGHT, WIDTH, 3), np.uint8)
        for number, colours in enumerate(packed):
            bounce = float(np.clip(random.normal(0, 0.8), -_BOUNCE_PIXELS, _BOUNCE_PIXELS))
            first = round((_BOUNCE_PIXELS + bounce) * _FINER)
            frame = _sum_rays(colours[first : first + HEIGHT * _FINER]) * self.gain
            frame *= np.float32(self._exposure(start + number))
            noise = int(random.integers(_NOISE_VALUES - frame.size))
            frame += self.noise[noise : noise + frame.size].reshape(frame.shape)
            frames[number] = np.clip(frame, 0, 255, out=frame).transpose(1, 2, 0)
        return frames

    def _exposure(self, number: int) -> float:
        """Return a gain that drifts over seconds and minutes, as clouds and automatic exposure do."""
        slow, slower = np.sin(number / 130 + self.drift[0]), np.sin(number / 900 + self.drift[1])
        return float(1 + 0.06 * slow + 0.1 * slower)


def _sum_rays(packed: np.ndarray) -> np.ndarray:
    """Return float32 (3, HEIGHT, WIDTH): the rays of each pixel added up, channel by channel.

    Red and blue are added in one go, in the two halves of a 32-bit number: four rays cannot overflow a half.
    """
    halves = np.uint32(0x00FF00FF)
    parts = [packed[row::_FINER, column::_FINER] for row in range(_FINER) for column in range(_FINER)]
    red_blue = np.add.reduce([part & halves for part in parts])
    green = np.add.reduce([(part >> np.uint32(8)) & halves for part in parts])
    return np.stack([red_blue & np.uint32(0xFFFF), green, red_blue >> np.uint32(16)]).astype(np.float32)
