"""The centreline of a closed track that turns both ways, laid out on the floor of a room."""

from dataclasses import dataclass

import numpy as np

ROOM_METRES = (10.0, 8.0)
"""Length along x and width along y of the floor."""
LANE_METRES = 0.9
"""Width between the two edge tapes."""
SPACING_METRES = 0.02

_WALL_MARGIN_METRES = 1.0
_LEAST_RADIUS_METRES = 0.8
_LEAST_BEND_BACK = 0.7
_LEAST_CLEARANCE_METRES = 1.5
_HARMONICS = np.arange(2, 5)
_GREATEST_AMPLITUDES = np.array([0.34, 0.2, 0.1])


@dataclass(frozen=True)
class Track:
    """A closed centreline, driven counter-clockwise seen from above.

    ``points`` float64 (n, 2): x, y in metres, about ``SPACING_METRES`` apart; ``headings`` (n,) in radians;
    ``curvatures`` (n,) in 1/metre, positive to the left.
    """

    points: np.ndarray
    headings: np.ndarray
    curvatures: np.ndarray

    def reversed(self) -> "Track":
        """Return the same line driven the other way around."""
        return Track(self.points[::-1], self.headings[::-1] + np.pi, -self.curvatures[::-1])


def lay_track(random: np.random.Generator) -> Track:
    """Draw tracks until one can be driven: no bend too tight, a bend each way, never too near itself."""
    for _ in range(500):
        track = _draw(random)
        if _can_be_driven(track):
            return track
    return _trace(np.zeros(3), np.zeros(3))


def _draw(random: np.random.Generator) -> Track:
    amplitudes = _GREATEST_AMPLITUDES * random.uniform(0.3, 1.0, 3)
    return _trace(amplitudes, random.uniform(0, 2 * np.pi, 3))


def _trace(amplitudes: np.ndarray, phases: np.ndarray) -> Track:
    """Trace a circle whose radius waves ``_HARMONICS`` times a turn, stretched to fill the room."""
    turn = np.linspace(0, 2 * np.pi, 2001)
    radius = 1 + amplitudes @ np.cos(np.outer(_HARMONICS, turn) + phases[:, None])
    line = np.stack([radius * np.cos(turn), radius * np.sin(turn)], axis=1)
    low, high = line.min(axis=0), line.max(axis=0)
    room = np.array(ROOM_METRES)
    line = (line - (low + high) / 2) * (room - 2 * _WALL_MARGIN_METRES) / (high - low) + room / 2
    return _resample(line)


def _resample(line: np.ndarray) -> Track:
    travelled = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(line, axis=0).T))])
    count = round(travelled[-1] / SPACING_METRES)
    places = np.arange(count) * travelled[-1] / count
    points = np.stack([np.interp(places, travelled, line[:, axis]) for axis in (0, 1)], axis=1)
    ahead = np.roll(points, -1, axis=0) - np.roll(points, 1, axis=0)
    headings = np.arctan2(ahead[:, 1], ahead[:, 0])
    bend = np.angle(np.exp(1j * (np.roll(headings, -4) - np.roll(headings, 4))))
    return Track(points, headings, bend / (8 * SPACING_METRES))


def _can_be_driven(track: Track) -> bool:
    tightest = np.abs(track.curvatures).max()
    if tightest > 1 / _LEAST_RADIUS_METRES or track.curvatures.min() > -_LEAST_BEND_BACK:
        return False
    points = track.points[::10]
    apart = np.hypot(*(points[:, None] - points[None]).transpose(2, 0, 1))
    steps = np.abs(np.arange(len(points))[:, None] - np.arange(len(points)))
    along = np.minimum(steps, len(points) - steps) * 10 * SPACING_METRES
    return bool(apart[along > 2 * _LEAST_CLEARANCE_METRES].min() > _LEAST_CLEARANCE_METRES)
