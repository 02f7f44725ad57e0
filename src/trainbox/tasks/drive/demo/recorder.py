"""What a car's recorder leaves behind: tubs of both versions, in donkeycar's own layout, with their scars.

The scars are those found in tubs that people share: pictures of no bytes, a line torn by a flat battery, records
deleted afterwards, a catalog no longer listed, records of the autopilot, and what macOS strews about.
"""

import io
import json
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from os import cpu_count
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

CREATED_SECONDS = 1716026400.25
"""18 May 2024, 10:00 UTC: a fixed moment, so that the same seed writes the same bytes."""

_IMAGES_PENDING = 256
_APPLE_DOUBLE = b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X        "
_INPUTS = ("cam/image_array", "user/angle", "user/throttle", "user/mode", "pilot/angle", "pilot/throttle")
_TYPES = ("image_array", "float", "float", "str", "float", "float")


@dataclass(frozen=True)
class Moment:
    """One record but for its image: its session's number, time, commands, and what the pilot did where it drove."""

    session: int
    timestamp_ms: int
    angle: float
    throttle: float
    mode: str = "user"
    pilot: tuple[float, float] | None = None


@dataclass(frozen=True)
class Scars:
    """Line positions of what is broken: no bytes in the image, half a line, deleted by the driver."""

    empty_images: Sequence[int] = ()
    torn_lines: Sequence[int] = ()
    deleted: Sequence[int] = ()
    strewn: bool = field(default=False)
    """Whether files that are no part of the tub lie about in it."""


def record_v2(folder: Path, moments: Sequence[Moment], frames: Iterable[np.ndarray], scars: Scars, note: str) -> None:
    """Write a tub of version 2 into the empty ``folder``; ``note`` goes into its metadata."""
    _save_images(folder / "images", "cam_image_array", frames, scars)
    lines = [_line_v2(index, moment) for index, moment in enumerate(moments)]
    for index in scars.torn_lines:
        lines[index] = lines[index][: len(lines[index]) // 2] + "\n"
    longest = 1000 if len(lines) >= 2000 else max(len(lines) // 2, 1)
    names = []
    for start in range(0, len(lines), longest):
        names.append(f"catalog_{start // longest}.catalog")
        _write_catalog(folder / names[-1], lines[start : start + longest], start)
    sessions = [_session(number) for number in sorted({moment.session for moment in moments})]
    manifest = [
        _INPUTS,
        _TYPES,
        {"trainbox demo": note},
        {"created_at": CREATED_SECONDS, "sessions": _session_facts(sessions)},
        {"paths": names, "current_index": len(lines), "max_len": longest, "deleted_indexes": sorted(scars.deleted)},
    ]
    (folder / "manifest.json").write_text("".join(json.dumps(part) + "\n" for part in manifest), newline="")
    if scars.strewn:
        _write_catalog(folder / f"catalog_{len(names) + 3}.catalog", lines[:20], 0)
        _strew(folder, ("._manifest.json", "images/._0_cam_image_array_.jpg", "._catalog_0.catalog"))


def record_v1(folder: Path, moments: Sequence[Moment], frames: Iterable[np.ndarray], scars: Scars, note: str) -> None:
    """Write a tub of version 1 into the empty ``folder``: deleted records are left out of it, or excluded."""
    _save_images(folder, "cam-image_array", frames, scars)
    for index, moment in enumerate(moments):
        text = _line_v1(index, moment)
        (folder / f"record_{index}.json").write_text(text[: len(text) // 2] if index in scars.torn_lines else text)
    gone, excluded = scars.deleted[::2], scars.deleted[1::2]
    for index in gone:
        (folder / f"record_{index}.json").unlink()
        (folder / f"{index}_cam-image_array_.jpg").unlink()
    if excluded:
        (folder / "exclude.json").write_text(json.dumps(sorted(excluded)))
    meta = {"inputs": _INPUTS, "types": _TYPES, "start": CREATED_SECONDS, "trainbox demo": note}
    (folder / "meta.json").write_text(json.dumps(meta))
    if scars.strewn:
        _strew(folder, ("._meta.json", "._record_0.json", "._0_cam-image_array_.jpg"))


def _save_images(folder: Path, key: str, frames: Iterable[np.ndarray], scars: Scars) -> None:
    """Save frames as ``N_key_.jpg`` with Pillow's own settings, as donkeycar does."""
    folder.mkdir(parents=True, exist_ok=True)
    empty = set(scars.empty_images)

    def save(index: int, frame: np.ndarray) -> None:
        content = io.BytesIO()
        Image.fromarray(frame).save(content, "JPEG")
        (folder / f"{index}_{key}_.jpg").write_bytes(b"" if index in empty else content.getvalue())

    with ThreadPoolExecutor(min(cpu_count() or 1, 8)) as pool:
        pending = []
        for index, frame in enumerate(frames):
            pending.append(pool.submit(save, index, frame))
            if len(pending) > _IMAGES_PENDING:
                pending.pop(0).result()
        for saved in pending:
            saved.result()


def _line_v2(index: int, moment: Moment) -> str:
    values: dict[str, Any] = {
        "_index": index,
        "_session_id": _session(moment.session),
        "_timestamp_ms": moment.timestamp_ms,
        "cam/image_array": f"{index}_cam_image_array_.jpg",
        **_commands(moment),
    }
    return json.dumps(values, sort_keys=True) + "\n"


def _line_v1(index: int, moment: Moment) -> str:
    since = moment.timestamp_ms - round(CREATED_SECONDS * 1000)
    image = {"cam/image_array": f"{index}_cam-image_array_.jpg"}
    return json.dumps({**_commands(moment), **image, "timestamp": None, "milliseconds": since})


def _commands(moment: Moment) -> dict[str, Any]:
    values: dict[str, Any] = {"user/angle": moment.angle, "user/mode": moment.mode, "user/throttle": moment.throttle}
    if moment.pilot is not None:
        values["pilot/angle"], values["pilot/throttle"] = moment.pilot
    return values


def _session(number: int) -> str:
    return f"24-05-18_{number}"


def _session_facts(sessions: Sequence[str]) -> dict[str, Any]:
    return {"all_full_ids": list(sessions), "last_id": len(sessions) - 1, "last_full_id": sessions[-1]}


def _write_catalog(path: Path, lines: Sequence[str], start: int) -> None:
    path.write_text("".join(lines), newline="")
    facts = {
        "created_at": CREATED_SECONDS + start / 20,
        "line_lengths": [len(line) for line in lines],
        "path": f"{path.stem}.catalog_manifest",
        "start_index": start,
    }
    path.with_suffix(".catalog_manifest").write_text(json.dumps(facts, sort_keys=True) + "\n", newline="")


def _strew(folder: Path, names: Iterable[str]) -> None:
    for name in names:
        (folder / name).write_bytes(_APPLE_DOUBLE)
