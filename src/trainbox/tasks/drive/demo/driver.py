"""A human of sorts who drives a small car around the track: pure pursuit, a late hand, and now and then a mistake."""

from dataclasses import dataclass, field
from math import atan, atan2, cos, exp, hypot, pi, sin, tan

import numpy as np

from trainbox.tasks.drive.demo.track import ROOM_METRES, SPACING_METRES, Track

RATE_HERTZ = 20

_WHEELBASE_METRES = 0.25
_FULL_LOCK_RADIANS = 0.34
_METRES_PER_SECOND_AT_FULL_THROTTLE = 5.0
_SPEED_SECONDS = 0.35
_STEERING_SECONDS = 0.06
_SIDEWAYS_LIMIT = 2.2
_SPEED_METRES_PER_SECOND = (0.8, 2.4)
_WALL_METRES = 0.35
_STICK_STEPS = 127


@dataclass(frozen=True)
class Drive:
    """What happened, record by record, each array of length n.

    ``poses`` float64 (n, 3): x, y in metres, heading in radians, counter-clockwise; ``angles`` and ``throttles`` are
    commands in -1..1, angle positive to the right as donkeycar has it; ``mistakes`` bool marks crashes.
    """

    poses: np.ndarray
    angles: np.ndarray
    throttles: np.ndarray
    mistakes: np.ndarray


def drive(track: Track, records: int, random: np.random.Generator) -> Drive:
    """Drive around ``track`` for ``records`` records at ``RATE_HERTZ``, from standing."""
    car = _Car(track, place=int(random.integers(len(track.points))))
    hand = _Hand(random, records)
    poses, commands = np.zeros((records, 3)), np.zeros((records, 2))
    for step in range(records):
        poses[step] = car.x, car.y, car.heading
        commands[step] = hand.command(car, step)
        car.move(*commands[step])
    return Drive(poses, commands[:, 0], commands[:, 1], hand.mistakes)


@dataclass
class _Car:
    """A bicycle model with a lagging servo and motor, that walls stop."""

    track: Track
    place: int
    speed: float = 0.0
    steering: float = 0.0
    x: float = field(init=False)
    y: float = field(init=False)
    heading: float = field(init=False)

    def __post_init__(self) -> None:
        self.x, self.y = (float(value) for value in self.track.points[self.place])
        self.heading = float(self.track.headings[self.place])

    def move(self, angle: float, throttle: float) -> None:
        seconds = 1 / RATE_HERTZ / 2
        for _ in range(2):
            self.steering += (angle - self.steering) * (1 - exp(-seconds / _STEERING_SECONDS))
            wanted = throttle * _METRES_PER_SECOND_AT_FULL_THROTTLE
            self.speed += (wanted - self.speed) * (1 - exp(-seconds / _SPEED_SECONDS))
            self.heading -= self.speed / _WHEELBASE_METRES * tan(self.steering * _FULL_LOCK_RADIANS) * seconds
            self.x += self.speed * cos(self.heading) * seconds
            self.y += self.speed * sin(self.heading) * seconds
        self._stop_at_walls()
        self._find_place()

    def _stop_at_walls(self) -> None:
        x = min(max(self.x, _WALL_METRES), ROOM_METRES[0] - _WALL_METRES)
        y = min(max(self.y, _WALL_METRES), ROOM_METRES[1] - _WALL_METRES)
        if (x, y) != (self.x, self.y):
            self.x, self.y, self.speed = x, y, 0.0

    def _find_place(self) -> None:
        """Look for the nearest point of the line close to the last one: the track may pass nearby elsewhere."""
        window = np.arange(self.place - 30, self.place + 60) % len(self.track.points)
        near = self.track.points[window]
        self.place = int(window[np.argmin((near[:, 0] - self.x) ** 2 + (near[:, 1] - self.y) ** 2)])

    def aim(self, ahead_metres: float, sideways_metres: float) -> float:
        """Return the steering command that leads to a point that far along the line and left of it."""
        index = (self.place + round(ahead_metres / SPACING_METRES)) % len(self.track.points)
        heading = self.track.headings[index]
        x = self.track.points[index, 0] - sin(heading) * sideways_metres - self.x
        y = self.track.points[index, 1] + cos(heading) * sideways_metres - self.y
        alpha = (atan2(y, x) - self.heading + pi) % (2 * pi) - pi
        bend = 2 * sin(alpha) / max(hypot(x, y), 0.3)
        return -atan(_WHEELBASE_METRES * bend) / _FULL_LOCK_RADIANS

    def bend_ahead(self, metres: float) -> float:
        """Return the tightest curvature on the next stretch, 1/metre."""
        stretch = np.arange(self.place, self.place + round(metres / SPACING_METRES), 4) % len(self.track.points)
        return float(np.abs(self.track.curvatures[stretch]).max())


class _Hand:
    """Turns what the driver sees into stick positions, with all that makes them human."""

    def __init__(self, random: np.random.Generator, records: int) -> None:
        self.wander = _drift(random, records, seconds=2.5) * 0.035
        self.tremble = _drift(random, records, seconds=0.15) * 0.03
        self.hurry = 1 + _drift(random, records, seconds=4) * 0.05
        self.mistakes = np.zeros(records, bool)
        self.script: dict[int, tuple[float | None, float]] = {}
        self._plan_brakes(random, records)
        self._plan_crashes(random, records)

    def _plan_brakes(self, random: np.random.Generator, records: int) -> None:
        for start in random.choice(records, records // 500 + 1, replace=False):
            for step in range(start, start + int(random.integers(4, 9))):
                self.script[step] = (None, -float(random.uniform(0.0, 0.1)))

    def _plan_crashes(self, random: np.random.Generator, records: int) -> None:
        """Look away with the wheel held, hit something, wait, back out."""
        for start in np.arange(60, records - 60, 900) + random.integers(0, 30):
            held = float(random.uniform(-0.25, 0.25))
            self.script |= dict.fromkeys(range(start, start + 14), (held, 0.3))
            self.script |= dict.fromkeys(range(start + 14, start + 22), (held, 0.0))
            self.script |= dict.fromkeys(range(start + 22, start + 36), (-held, -0.25))
            self.mistakes[start + 6 : start + 48] = True

    def command(self, car: _Car, step: int) -> tuple[float, float]:
        """Return (angle, throttle), in steps of the stick."""
        angle = car.aim(0.45 + 0.22 * abs(car.speed), self.wander[step]) + self.tremble[step]
        slowest, fastest = _SPEED_METRES_PER_SECOND
        wanted = (_SIDEWAYS_LIMIT / (car.bend_ahead(0.9) + 0.05)) ** 0.5 * 0.8 * self.hurry[step]
        wanted = min(max(wanted, slowest), fastest)
        throttle = wanted / _METRES_PER_SECOND_AT_FULL_THROTTLE + 0.05 * (wanted - car.speed)
        if step in self.script:
            held, throttle = self.script[step]
            angle = angle if held is None else held
        elif step < 6:
            angle, throttle = 0.0, 0.0
        return _stick(angle), _stick(throttle)


def _drift(random: np.random.Generator, count: int, seconds: float) -> np.ndarray:
    """Return an Ornstein-Uhlenbeck walk of unit deviation, float64 (count,)."""
    keep = exp(-1 / RATE_HERTZ / seconds)
    kicks = random.standard_normal(count) * (1 - keep**2) ** 0.5
    walk, value = np.zeros(count), 0.0
    for step in range(count):
        value = walk[step] = value * keep + kicks[step]
    return walk


def _stick(value: float) -> float:
    return round(min(max(value, -1.0), 1.0) * _STICK_STEPS) / _STICK_STEPS
