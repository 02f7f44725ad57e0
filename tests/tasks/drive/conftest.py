"""Tubs for the tests of ``drive``: in memory, or small ones in a folder, made as told."""

import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from trainbox.data.files import FileReference, FolderTree
from trainbox.data.problems import Problems
from trainbox.tasks.drive.tubs import Record, Tub

WriteTub = Callable[..., Path]
MakeTub = Callable[..., Tub]


def picture(number: int, size: tuple[int, int] = (160, 120)) -> bytes:
    """Return a JPEG of noise that differs from that of any other number."""
    pixels = np.random.default_rng(number).integers(0, 256, (size[1] // 8, size[0] // 8, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).resize(size).save(file, "JPEG")
    return file.getvalue()


@pytest.fixture
def write_tub(tmp_path: Path) -> WriteTub:
    """Write a tub v1: ``write_tub("name", angles, throttles, pictures=...)``, record and picture i from 1."""

    def write(
        name: str, angles: Sequence[float], throttles: Sequence[float] | None = None, pictures: Sequence[int] = ()
    ) -> Path:
        folder = tmp_path / name
        folder.mkdir(parents=True)
        (folder / "meta.json").write_text('{"inputs": ["cam/image_array"], "types": ["image_array"]}')
        for place, angle in enumerate(angles):
            number = place + 1
            record = {
                "user/angle": angle,
                "user/throttle": throttles[place] if throttles is not None else 0.3,
                "user/mode": "user",
                "cam/image_array": f"{number}_cam-image_array_.jpg",
            }
            (folder / f"record_{number}.json").write_text(json.dumps(record))
            content = picture(pictures[place] if pictures else number)
            (folder / f"{number}_cam-image_array_.jpg").write_bytes(content)
        return folder

    return write


@pytest.fixture
def make_tub(tmp_path: Path) -> MakeTub:
    """Make a tub in memory: ``make_tub(angles, positions=..., sessions=..., throttles=..., modes=..., values=...)``."""
    tree = FolderTree(tmp_path, "tub", Problems())

    def make(angles: Sequence[float], **columns: Sequence[Any]) -> Tub:
        count = len(angles)
        positions = columns.get("positions", range(count))
        throttles = columns.get("throttles", [0.5] * count)
        sessions = columns.get("sessions", ["a"] * count)
        modes = columns.get("modes", ["user"] * count)
        values = columns.get("values", [{}] * count)
        records = [
            Record(
                position=positions[i],
                session=sessions[i],
                index=positions[i],
                image=FileReference(tree, f"images/{positions[i]}.jpg"),
                angle=angles[i],
                throttle=throttles[i],
                mode=modes[i],
                timestamp_ms=None,
                values=values[i],
            )
            for i in range(count)
        ]
        return Tub("tub", 2, records, found=count)

    return make
