"""From channels to examples: read, pair, filter, decode, split. Everything left out is counted."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from trainbox.data import split
from trainbox.data.cache import ImageCache, build_cache
from trainbox.data.problems import Problems
from trainbox.errors import ChannelError, DataError
from trainbox.tasks import Datasets
from trainbox.tasks.drive.balance import steering_weights
from trainbox.tasks.drive.bins import ANGLE_BINS, THROTTLE_BINS, angle_bin, throttle_bin
from trainbox.tasks.drive.config import DriveConfig
from trainbox.tasks.drive.examples import DriveExamples
from trainbox.tasks.drive.pilots import HEIGHT, KINDS, WIDTH
from trainbox.tasks.drive.samples import Samples, select, smoothed_angle
from trainbox.tasks.drive.transfer import TRANSFER_CHANNELS, Arrays, find_transfer
from trainbox.tasks.drive.tubs import Tub, read_tubs

VALIDATION_CHANNELS = ("validation", "test")
SAME_ANGLE = 1e-3
MAX_DAMAGED_SHARE = 0.5
"""Of the records that nobody deleted: where more cannot be read, the tub is not what its user takes it for."""


@dataclass(frozen=True)
class DriveDatasets(Datasets):
    """Datasets of a pilot. ``initial`` holds the arrays training starts from, by layer; empty to start anew."""

    initial: Arrays = field(default_factory=dict)


def training_channels(channels: Mapping[str, Path]) -> dict[str, Path]:
    """Return the channels that are trained on, those named ``train...``; raise ChannelError where there is none."""
    found = {name: path for name, path in sorted(channels.items()) if name.startswith("train")}
    if not found:
        raise ChannelError(f"Channel 'train' is missing. Received: {', '.join(sorted(channels)) or 'none'}.")
    return found


def read_datasets(config: DriveConfig, channels: Mapping[str, Path], scratch: Path) -> DriveDatasets:
    """Read everything the channels hold into examples; raise ChannelError, DataError or ModelFileError."""
    problems = Problems()
    train_paths = training_channels(channels)
    validation_paths = {name: channels[name] for name in VALIDATION_CHANNELS if name in channels}
    for name in sorted(set(channels) - {*train_paths, *validation_paths, *TRANSFER_CHANNELS, *_named(config)}):
        problems.warn("channel is not used", name)
    initial = find_transfer(config, channels)
    tubs = _tubs(train_paths, problems)
    held_back = _tubs(validation_paths, problems)
    samples, validates = _all_samples(tubs, held_back, config, problems)
    found = sum(tub.found or len(tub.records) for tub in (*tubs, *held_back))
    _refuse_few(len(samples), found, config, problems)
    cache = build_cache(samples.images, (HEIGHT, WIDTH), scratch, problems)
    rows = np.flatnonzero(cache.usable)
    _refuse_damaged([*tubs, *held_back], len(samples) - len(rows), problems)
    _refuse_few(len(rows), found, config, problems)
    samples, validates = samples.take(rows), validates[rows]
    digests = [cache.digests[row] for row in rows.tolist()]
    if held_back:
        trains, validates = _without_twins(samples, validates, digests, config, problems)
    else:
        validates = _with_twins(samples, _split(samples, config), digests, problems)
        trains = _apart(samples, validates, config, problems)
    _refuse_one_sided(trains, validates, bool(held_back))
    train = _examples(cache, rows, samples, trains, config, training=True)
    validation = _examples(cache, rows, samples, validates, config, training=False)
    if np.ptp(train.angle) < SAME_ANGLE:
        problems.warn("the steering never changes in what is trained on: there is nothing to learn")
    facts = _facts([*tubs, *held_back], found, samples, train, validation, config)
    if held_back:
        facts["validation"] = "channel"
    fingerprint = _fingerprint(train, validation, initial)
    return DriveDatasets(train, validation, (), problems, fingerprint, facts, initial)


def read_examples(config: DriveConfig, paths: Sequence[Path], scratch: Path, problems: Problems) -> DriveExamples:
    """Read all usable records below ``paths`` in order, filtered as for training, for scoring; raise DataError."""
    tubs = read_tubs(paths, problems)
    samples = select(tubs, config, problems)
    cache = build_cache(samples.images, (HEIGHT, WIDTH), scratch, problems)
    rows = np.flatnonzero(cache.usable)
    if not len(rows):
        raise DataError(f"No record is left to score. {_left_out(problems)}")
    return _examples(cache, rows, samples.take(rows), np.ones(len(rows), bool), config, training=False)


def _fingerprint(train: DriveExamples, validation: DriveExamples, initial: Arrays) -> str:
    """Return a digest of all that is learnt from: the examples, their split, the arrays training starts from."""
    whole = hashlib.blake2b(train.digest() + validation.digest(), digest_size=16)
    for name in sorted(initial):
        whole.update(name.encode())
        for array in initial[name]:
            whole.update(np.ascontiguousarray(array).tobytes())
    return whole.hexdigest()


def _named(config: DriveConfig) -> tuple[str, ...]:
    return (config.transfer.split("/")[0],) if config.transfer else ()


def _tubs(channels: Mapping[str, Path], problems: Problems) -> list[Tub]:
    tubs: list[Tub] = []
    seen: set[Path] = set()
    for name, path in channels.items():
        if path.resolve() in seen:
            problems.warn("path was given twice and is read once", f"channel {name}")
            continue
        seen.add(path.resolve())
        try:
            tubs += read_tubs([path], problems)
        except DataError as error:
            raise type(error)(f"Channel '{name}': {error}") from error
    return tubs


def _all_samples(
    tubs: Sequence[Tub], held_back: Sequence[Tub], config: DriveConfig, problems: Problems
) -> tuple[Samples, np.ndarray]:
    """Return the samples of all channels, and which of them are of a channel for validation."""
    ours = select(tubs, config, problems)
    theirs = select(held_back, config, problems)
    return ours.and_then(theirs), np.arange(len(ours) + len(theirs)) >= len(ours)


def _refuse_few(count: int, found: int, config: DriveConfig, problems: Problems) -> None:
    if count < config.min_records:
        raise DataError(
            f"Too few usable records: {count} of {found}, and min_records is {config.min_records}. "
            + _left_out(problems)
        )


def _refuse_damaged(tubs: Sequence[Tub], unreadable: int, problems: Problems) -> None:
    kept = sum((tub.found or len(tub.records)) - tub.deleted for tub in tubs)
    damaged = kept - sum(len(tub.records) for tub in tubs) + unreadable
    if damaged > MAX_DAMAGED_SHARE * kept:
        raise DataError(f"Too many records cannot be read: {damaged} of {kept}. {_left_out(problems)}")


def _left_out(problems: Problems) -> str:
    """Say in one sentence why records were left out, the commonest reason first."""
    reasons = sorted(problems.skips.items(), key=lambda item: -item[1].count)
    if not reasons:
        return "Nothing was left out: record more."
    return "Left out: " + ", ".join(f"{reason} ({tally.count})" for reason, tally in reasons[:5]) + "."


def _split(samples: Samples, config: DriveConfig) -> np.ndarray:
    if config.validation == "random":
        return split.random(len(samples), config.validation_fraction, config.seed)
    return split.blocks(samples.group.tolist(), config.validation_fraction, config.seed, config.block_length)


def _without_twins(
    samples: Samples, validates: np.ndarray, digests: list[bytes], config: DriveConfig, problems: Problems
) -> tuple[np.ndarray, np.ndarray]:
    """Move validation samples whose very image file is also trained on to training, and leave out those beside them.

    Returns which samples train and which validate: bool (n,) each.
    """
    trained = {digest for digest, held in zip(digests, validates, strict=True) if not held}
    moved = np.array([held and digest in trained for digest, held in zip(digests, validates, strict=True)], bool)
    for index in np.flatnonzero(moved):
        problems.warn("image is in training too: moved to training", str(samples.images[index]))
    near = split.beside(moved, samples.group.tolist(), config.block_gap) & validates
    for index in np.flatnonzero(near):
        problems.skip("next to an image that is in training too", str(samples.images[index]))
    return ~validates | moved, validates & ~moved & ~near


def _with_twins(samples: Samples, validates: np.ndarray, digests: list[bytes], problems: Problems) -> np.ndarray:
    """Let samples validate whose very image file does, as where a tub is given twice: bool (n,)."""
    held = {digest for digest, validating in zip(digests, validates, strict=True) if validating}
    kept = validates.copy()
    for index in np.flatnonzero(~validates):
        if digests[index] in held:
            kept[index] = True
            problems.warn("image is in validation too: moved to validation", str(samples.images[index]))
    return kept


def _apart(samples: Samples, validates: np.ndarray, config: DriveConfig, problems: Problems) -> np.ndarray:
    """Return which samples train: bool (n,). Those next to a validation block are near copies of its ends."""
    if config.validation == "random" or not config.block_gap:
        return ~validates
    near = split.beside(validates, samples.group.tolist(), config.block_gap)
    for index in np.flatnonzero(near):
        problems.skip("next to a validation block", str(samples.images[index]))
    return ~validates & ~near


def _refuse_one_sided(trains: np.ndarray, validates: np.ndarray, held_back: bool) -> None:
    if not trains.any() or not validates.any():
        raise DataError(
            f"Nothing is left on one side: {trains.sum()} records to train on, {validates.sum()} to validate on. "
            + ("Give other records for validation." if held_back else "Give more records, or another block_length.")
        )


def _examples(
    cache: ImageCache, rows: np.ndarray, samples: Samples, chosen: np.ndarray, config: DriveConfig, *, training: bool
) -> DriveExamples:
    indices = np.flatnonzero(chosen)
    ours = samples.take(indices)
    angle = smoothed_angle(ours, config.smooth_steering) if training else ours.angle
    return DriveExamples(
        cache,
        rows[indices],
        angle,
        ours.throttle,
        ours.memory,
        tuple(str(image) for image in ours.images),
        KINDS[config.pilot],
        config.throttle_range,
        config.augment if training else (),
        steering_weights(angle) if training and config.balance else None,
    )


def _facts(
    tubs: Sequence[Tub],
    found: int,
    samples: Samples,
    train: DriveExamples,
    validation: DriveExamples,
    config: DriveConfig,
) -> dict[str, Any]:
    """Return what the manifest and the report say about the data. ``train_mean`` is the baseline of the scores."""
    return {
        "tubs": [{"label": tub.label, "version": tub.version, "records": len(tub.records)} for tub in tubs],
        "records_found": found,
        "records_used": len(train) + len(validation),
        "sessions": len(np.unique(samples.group)),
        "modes": dict(Counter(record.mode for tub in tubs for record in tub.records)),
        "validation": config.validation,
        "train_mean": {"angle": float(train.angle.mean()), "throttle": float(train.throttle.mean())},
        "angle_histogram": np.bincount(angle_bin(samples.angle), minlength=ANGLE_BINS).tolist(),
        "throttle_histogram": np.bincount(
            throttle_bin(samples.throttle, config.throttle_range), minlength=THROTTLE_BINS
        ).tolist(),
    }
