"""Tubs with anything anywhere: every record is usable or has a reason, and nothing raises."""

import copy
import json
import math
import random
from pathlib import Path

import numpy as np
import pytest

ANYTHING = [
    None, True, False, 0, 1, -1, 2**70, -(2**70), 10**400, 1.5, math.nan, math.inf, "", "x", "\ud800", "\x00", "../a",
    "/a", "a" * 300, [], [1], {}, {"a": 1}, [[]], "images", ".",
    "0_cam_image_array_.jpg", "images/0_cam_image_array_.jpg",
]  # fmt: skip


def spoiled(values: dict, chance: random.Random, often: float) -> object:
    if chance.random() < often / 3:
        return chance.choice(ANYTHING)
    return {key: chance.choice(ANYTHING) if chance.random() < often else value for key, value in values.items()}


def spoil_lines(path: Path, chance: random.Random, often: float) -> None:
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    spoilt = [spoiled(line, chance, often) if isinstance(line, dict) else line for line in lines]
    path.write_text("\n".join(map(json.dumps, spoilt)))


@pytest.mark.parametrize("seed", range(40))
def test_anything_anywhere_in_a_tub_v2(v2, read, values_of, seed):
    chance = random.Random(seed)
    extra = {"__empty__": False, "imu/accel": [1, 2, 3]}
    root = v2([{**values_of(number), **extra} for number in range(8)], deleted=[1, 6])
    for catalog in root.glob("*.catalog"):
        spoil_lines(catalog, chance, 0.1)
    spoil_lines(root / "manifest.json", chance, 0.3)
    spoil_lines(root / "catalog_0.catalog_manifest", chance, 0.5)
    judge(read(root))


@pytest.mark.parametrize("seed", range(40))
def test_anything_anywhere_in_a_tub_v1(v1, read, seed):
    chance = random.Random(seed)
    root = v1(range(8), milliseconds=5)
    for record in root.glob("record_*.json"):
        spoil_lines(record, chance, 0.1)
    (root / "exclude.json").write_text(json.dumps(chance.choice([*ANYTHING, ANYTHING])))
    (root / "meta.json").write_text(json.dumps({"inputs": ANYTHING[::-1], "types": ["image_array"] * 99}))
    judge(read(root))


def judge(reading) -> None:
    assert reading.accounted
    numbers = [(record.position, record.index, record.timestamp_ms or 0) for record in reading.records]
    assert np.array(numbers, np.int64).shape == ((len(numbers), 3) if numbers else (0,))
    assert all(-1 <= record.angle <= 1 and -1 <= record.throttle <= 1 for record in reading.records)
    for record in reading.records:
        assert str(record.image).isprintable()
        assert copy.copy(record) == record
    json.dumps(reading.problems.as_dict(), allow_nan=False)
