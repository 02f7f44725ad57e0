"""What the cars see: real frames of a tub where TRAINBOX_TEST_DATA has one, else a drawn line on a noisy floor."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

TRAINED, HELD_OUT = 512, 12


@dataclass(frozen=True)
class Drive:
    """Frames uint8 (n, 120, 160, 3) RGB with the angle and throttle, float32 (n,), that were driven."""

    frames: np.ndarray
    angles: np.ndarray
    throttles: np.ndarray

    def held_out(self) -> np.ndarray:
        return self.frames[TRAINED:]


def drive_data() -> Drive:
    tub = Path(os.environ.get("TRAINBOX_TEST_DATA", "/nonexistent")) / "tub_v2_yuki"
    catalogs = sorted(tub.rglob("catalog_*.catalog"))
    return _real(catalogs) if catalogs else _drawn()


def _real(catalogs: list[Path]) -> Drive:
    """Every seventh record, so that the frames differ."""
    lines = [(path, line) for path in catalogs for line in path.read_text().splitlines()]
    frames, angles, throttles = [], [], []
    for path, line in lines[::7]:
        record = json.loads(line)
        with Image.open(path.parent / "images" / record["cam/image_array"]) as image:
            frames.append(np.asarray(image.convert("RGB").resize((160, 120)), dtype=np.uint8))
        angles.append(record["user/angle"])
        throttles.append(record["user/throttle"])
        if len(frames) == TRAINED + HELD_OUT:
            break
    return Drive(np.stack(frames), np.float32(angles), np.float32(throttles))


def _drawn() -> Drive:
    random = np.random.default_rng(4)
    count = TRAINED + HELD_OUT
    angles = random.uniform(-1, 1, count).astype(np.float32)
    frames = random.normal(90, 25, (count, 120, 160, 3))
    rows, columns = np.mgrid[0:120, 0:160]
    for frame, angle in zip(frames, angles, strict=True):
        line = 80 + angle * 70 * (120 - rows) / 120
        frame[np.abs(columns - line) < 4 + rows / 20] += (120, 100, 0)
    return Drive(frames.clip(0, 255).astype(np.uint8), angles, (0.6 - 0.4 * np.abs(angles)).astype(np.float32))
