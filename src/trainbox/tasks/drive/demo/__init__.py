"""A synthetic tub: a rendered track, driven by a controller with human faults, recorded with the scars of real tubs."""

import contextlib
import json
import shutil
import tempfile
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import numpy as np

from trainbox.errors import UsageError
from trainbox.tasks.drive.demo.camera import draw_light, photograph
from trainbox.tasks.drive.demo.driver import RATE_HERTZ, Drive, drive
from trainbox.tasks.drive.demo.recorder import CREATED_SECONDS, Moment, Scars, record_v1, record_v2
from trainbox.tasks.drive.demo.room import paint_room
from trainbox.tasks.drive.demo.track import lay_track

DEFAULT_RECORDS = 4000
LEAST_RECORDS = 40

_SESSION_RECORDS = 800
_PAUSE_SECONDS = 180


def write_tub(folder: Path, seed: int, records: int, version: int = 2, scarred: bool = True) -> str:
    """Write a tub of ``records`` records into ``folder``; return one line saying what it holds.

    The same arguments write the same bytes. A folder that already holds that very tub is left as it is; raises
    UsageError where it holds anything else. ``scarred`` False leaves out everything broken, but not the driving faults.
    """
    if records < LEAST_RECORDS or version not in (1, 2):
        raise UsageError(
            f"A demo tub has {LEAST_RECORDS} records or more and version 1 or 2. Received: {records} records, "
            f"version {version}."
        )
    note = f"seed {seed}, {records} records, version {version}{', scarred' if scarred else ''}"
    if _already_there(folder, note):
        return f"{folder} already holds this tub ({note})."
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as scratch:
        tub = Path(scratch) / "tub"
        tub.mkdir()
        said = _record(tub, seed, records, version, scarred, note)
        if folder.exists():
            folder.rmdir()
        shutil.move(tub, folder)
    return said


def _already_there(folder: Path, note: str) -> bool:
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return False
    if _note_in(folder) == note:
        return True
    raise UsageError(f"A demo tub needs an empty or new folder. Received: {folder}, which holds other files.")


def _note_in(folder: Path) -> str | None:
    """Return the note that a demo tub carries, or None."""
    for name in ("manifest.json", "meta.json"):
        with contextlib.suppress(OSError, ValueError):
            for line in (folder / name).read_text().splitlines():
                part = json.loads(line)
                if isinstance(part, dict) and "trainbox demo" in part:
                    return str(part["trainbox demo"])
    return None


def _record(folder: Path, seed: int, records: int, version: int, scarred: bool, note: str) -> str:
    random = np.random.default_rng(seed)
    track = lay_track(random)
    room = paint_room(track, random)
    lengths = _session_lengths(records)
    drives = [drive(track.reversed() if number % 2 else track, length, random) for number, length in enumerate(lengths)]
    lights = [draw_light(random) for _ in drives]
    moments = list(chain.from_iterable(_moments(number, run, random) for number, run in enumerate(drives)))
    scars = _scar(moments, np.concatenate([run.mistakes for run in drives]), random) if scarred else Scars()
    write = record_v2 if version == 2 else record_v1
    frames: Iterator[np.ndarray] = chain.from_iterable(
        photograph(room, run.poses, light, seed * 1000 + number)
        for number, (run, light) in enumerate(zip(drives, lights, strict=True))
    )
    write(folder, moments, frames, scars, note)
    autopilot = sum(moment.mode != "user" for moment in moments)
    return (
        f"{records} records in {len(drives)} sessions, both ways around one track; {autopilot} driven by an "
        f"autopilot, {len(scars.deleted)} deleted, {len(scars.empty_images)} images of no bytes, "
        f"{len(scars.torn_lines)} torn lines."
    )


def _session_lengths(records: int) -> list[int]:
    sessions = max(2, round(records / _SESSION_RECORDS))
    return [len(part) for part in np.array_split(np.arange(records), sessions)]


def _moments(session: int, run: Drive, random: np.random.Generator) -> Iterator[Moment]:
    """Give each record its time, and let an autopilot of old have the wheel for the last tenth of a session."""
    start = CREATED_SECONDS * 1000 + session * _PAUSE_SECONDS * 1000 + 2400
    start += session * _SESSION_RECORDS * 1000 / RATE_HERTZ
    late = random.uniform(0, 4, len(run.angles))
    handed_over = len(run.angles) - len(run.angles) // 20
    for step, (angle, throttle) in enumerate(zip(run.angles.tolist(), run.throttles.tolist(), strict=True)):
        time = round(start + step * 1000 / RATE_HERTZ + late[step])
        if step < handed_over:
            yield Moment(session, time, angle, throttle)
        else:
            yield Moment(session, time, 0.0, 0.0, "local" if session % 2 else "local_angle", (angle, throttle))


def _scar(moments: list[Moment], mistakes: np.ndarray, random: np.random.Generator) -> Scars:
    """Break a little of everything; the driver deleted the crashes afterwards, but not the end of the last one."""
    count = len(moments)
    crashes = np.flatnonzero(mistakes)
    crashes = crashes[: max(len(crashes) - 20, len(crashes) // 2)]
    slips = int(random.integers(10, count - 20))
    deleted = sorted({*crashes.tolist(), *range(slips, slips + 5)})
    whole = np.setdiff1d(np.arange(1, count - 1), deleted)
    broken = random.permutation(whole)[: 3 + count // 400]
    return Scars(broken[:-2].tolist(), broken[-2:].tolist(), deleted, strewn=True)
