"""From a tub's records to training samples: an image and the command to be learnt for it, in columns.

Pairing comes first and filtering after it, so that a filter never moves an image to a command of another moment.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from trainbox.data.files import FileReference
from trainbox.data.problems import Problems
from trainbox.tasks.drive.config import DriveConfig
from trainbox.tasks.drive.expression import CannotApply, Expression
from trainbox.tasks.drive.tubs import Record, Tub

GAP = 1_000_000
"""By how much moments jump where frames are missing: by more than any smoothing reaches."""
REACH = 3
"""Deviations that a neighbour may be away."""


@dataclass(frozen=True)
class Samples:
    """Samples in order of driving, tub after tub.

    ``angle``, ``throttle`` float32 (n,), -1..1; ``memory`` float32 (n, 2 * length), the commands before as angle,
    throttle, oldest first (length 0 where the pilot has none); ``group`` int64 (n,), one number a session of a tub;
    ``moment`` int64 (n,), rising by one from frame to frame and by more where there is a gap.
    """

    images: list[FileReference]
    angle: np.ndarray
    throttle: np.ndarray
    memory: np.ndarray
    group: np.ndarray
    moment: np.ndarray

    def __len__(self) -> int:
        return len(self.images)

    def take(self, indices: np.ndarray) -> "Samples":
        """Return the samples at ``indices`` (int64), in that order."""
        images = [self.images[index] for index in indices]
        columns = (self.angle, self.throttle, self.memory, self.group, self.moment)
        return Samples(images, *(column[indices] for column in columns))

    def and_then(self, other: "Samples") -> "Samples":
        """Return these samples followed by others, whose groups get numbers of their own."""
        group = other.group + (self.group.max() + 1 if len(self) else 0)
        moment = other.moment + (self.moment.max() + GAP if len(self) else 0)
        return Samples(
            self.images + other.images,
            np.concatenate([self.angle, other.angle]),
            np.concatenate([self.throttle, other.throttle]),
            np.concatenate([self.memory, other.memory]),
            np.concatenate([self.group, group]),
            np.concatenate([self.moment, moment]),
        )


def select(tubs: Sequence[Tub], config: DriveConfig, problems: Problems) -> Samples:
    """Pair images with commands and keep what the hyperparameters ask for; count what is left out in ``problems``."""
    length = config.memory_length if config.pilot == "memory" else 0
    chosen = _empty(length)
    for tub in tubs:
        chosen = chosen.and_then(_of_tub(tub, config, length, problems))
    return chosen


def _of_tub(tub: Tub, config: DriveConfig, memory_length: int, problems: Problems) -> Samples:
    records = tub.records
    if not records:
        return _empty(memory_length)
    commands = np.array([(record.angle, record.throttle) for record in records], np.float32)
    runs = _runs(records)
    images = np.arange(len(records))
    images = _with_command(images, runs, config.with_slide, records, problems)
    images = _with_memory(images, runs, config.with_slide, memory_length, records, problems)
    images = _wanted(images, records, config, problems)
    given = images + config.with_slide
    throttle = commands[given, 1]
    if config.raise_throttle_to is not None:
        throttle = np.maximum(throttle, np.float32(config.raise_throttle_to))
    before = given[:, None] - np.arange(memory_length, 0, -1)[None]
    sessions: dict[str, int] = {}
    group = [sessions.setdefault(records[index].session, len(sessions)) for index in images]
    return Samples(
        [records[index].image for index in images],
        commands[given, 0],
        throttle,
        commands[before].reshape(len(images), 2 * memory_length),
        np.array(group, np.int64),
        given + GAP * runs[given],
    )


def _runs(records: Sequence[Record]) -> np.ndarray:
    """Number the stretches without a gap: int64 (n,). A deleted or broken record or a new session ends one."""
    position = np.array([record.position for record in records])
    index = np.array([record.index for record in records])
    changed = [now.session != before.session for before, now in pairwise(records)]
    gap = (np.diff(position) != 1) | (np.diff(index) != 1) | np.array(changed, bool)
    return np.concatenate([[0], np.cumsum(gap)])


def _with_command(
    images: np.ndarray, runs: np.ndarray, slide: int, records: Sequence[Record], problems: Problems
) -> np.ndarray:
    later = np.minimum(images + slide, len(runs) - 1)
    paired = (images + slide < len(runs)) & (runs[later] == runs[images])
    return _keep(images, paired, f"no command {slide} frames later without a gap", records, problems)


def _with_memory(
    images: np.ndarray, runs: np.ndarray, slide: int, length: int, records: Sequence[Record], problems: Problems
) -> np.ndarray:
    first = np.maximum(images + slide - length, 0)
    remembered = (images + slide - length >= 0) & (runs[first] == runs[images + slide])
    return _keep(images, remembered, f"no {length} commands before it without a gap", records, problems)


def _wanted(images: np.ndarray, records: Sequence[Record], config: DriveConfig, problems: Problems) -> np.ndarray:
    """Apply the filters, each to what the one before has left."""
    given = [records[index + config.with_slide] for index in images]
    if config.drive_modes:
        wanted = np.array([command.mode in config.drive_modes for command in given], bool)
        images = _keep(images, wanted, "drive mode is not among drive_modes", records, problems)
    if config.minimum_throttle is not None:
        lowest = config.minimum_throttle
        wanted = np.array([records[index + config.with_slide].throttle > lowest for index in images], bool)
        images = _keep(images, wanted, "throttle is not above minimum_throttle", records, problems)
    return _filtered(images, records, config, problems) if config.filter else images


def _filtered(images: np.ndarray, records: Sequence[Record], config: DriveConfig, problems: Problems) -> np.ndarray:
    expression = Expression(config.filter or "")
    kept = []
    for index in images:
        record = records[index]
        try:
            if expression.keeps(_named(record, records[index + config.with_slide])):
                kept.append(index)
            else:
                problems.skip("left out by the filter", str(record.image))
        except CannotApply:
            problems.skip("the filter has no answer: a key is missing or of another type", str(record.image))
    return np.array(kept, np.int64)


def _named(record: Record, command: Record) -> Mapping[str, Any]:
    """Return what a filter may name: the command that is learnt, and all else as it was at the image."""
    return {
        **record.values,
        **dict.fromkeys(("user/angle", "angle"), command.angle),
        **dict.fromkeys(("user/throttle", "throttle"), command.throttle),
        **dict.fromkeys(("user/mode", "mode"), command.mode),
        "index": record.index,
        "session": record.session,
    }


def _keep(
    images: np.ndarray, wanted: np.ndarray, reason: str, records: Sequence[Record], problems: Problems
) -> np.ndarray:
    for index in images[~wanted]:
        problems.skip(reason, str(records[index].image))
    return images[wanted]


def _empty(memory_length: int) -> Samples:
    nothing = np.zeros(0, np.float32)
    none = np.zeros(0, np.int64)
    return Samples([], nothing, nothing, np.zeros((0, 2 * memory_length), np.float32), none, none)


def smoothed_angle(samples: Samples, deviation: float) -> np.ndarray:
    """Return the angles averaged over their neighbours in time among the samples: float32 (n,).

    Neighbours count by a normal distribution of ``deviation`` frames; a gap in time is not bridged. A driver's thumb
    goes from nothing to full lock and back; what the track asks for lies between.
    """
    total, weights = samples.angle.astype(np.float64), np.ones(len(samples))
    for distance in range(1, int(REACH * deviation) + 1):
        weight = np.exp(-0.5 * (distance / deviation) ** 2)
        for wanted in (samples.moment - distance, samples.moment + distance):
            at = np.minimum(np.searchsorted(samples.moment, wanted), len(samples) - 1)
            there = samples.moment[at] == wanted
            total[there] += weight * samples.angle[at[there]]
            weights[there] += weight
    return (total / weights).astype(np.float32)
