"""How the pilot drives beside its driver: a stretch of road, every way of steering, best and worst frames, int8."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import cos, pi, sin
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from trainbox.report import plots
from trainbox.report.page import Cell, Chart, Charts, Gallery, Picture, Prose, Section, Stroke, Table
from trainbox.report.words import decimal, share, signed
from trainbox.tasks.drive.scoring import FLOAT_FILE, INT8_FILE, answer, open_files

if TYPE_CHECKING:
    from trainbox.tasks.drive.examples import DriveExamples

LONGEST_STRETCH = 300
MOST_FRAMES = 3000
"""So many are driven again for the report at most, in whole stretches: it should not take as long as the scoring."""
PICTURES = 6
APART = 10
"""Shown frames are at least so many frames apart: neighbours are near copies."""
NEEDLE_LENGTH = 0.45
NEEDLE_AT_FULL_LOCK = pi / 4
DRIVER, PILOT = "driver", "pilot"


@dataclass(frozen=True)
class Driven:
    """Commands over frames in order: of the driver, the pilot, and its int8 file, each float64 (n,).

    ``row`` int64 (n,) are places in the cache: one more from a frame to the next. ``images`` say where the frames lie.
    """

    angle: np.ndarray
    throttle: np.ndarray
    pilot_angle: np.ndarray
    pilot_throttle: np.ndarray
    int8_angle: np.ndarray | None
    row: np.ndarray
    images: Sequence[str]

    @property
    def error(self) -> np.ndarray:
        """How far the pilot steers from the driver, float64 (n,)."""
        return np.abs(self.pilot_angle - self.angle)


def driving_sections(folder: Path, manifest: Mapping[str, Any], examples: "DriveExamples | None") -> list[Section]:
    """Return what shows the pilot beside its driver; pictures only where there are ``examples``."""
    metrics = manifest["metrics"]
    driven = _remembered(metrics["frames"]) if examples is None else _drive(folder, manifest, examples)
    sections = [
        Section("Beside the driver", [_stretch(driven), _clouds(driven), *_gap(metrics)], contents="Driving"),
        Section("By steering", [_by_steering(metrics)]),
    ]
    if examples is not None:
        sections.insert(
            1, Section("What it saw", [_pictures_intro(), *_galleries(driven, examples)], contents="Frames")
        )
    return sections


def _drive(folder: Path, manifest: Mapping[str, Any], examples: "DriveExamples") -> Driven:
    """Ask the files themselves for their commands on all validation frames."""
    from trainbox.tasks.drive.config import DriveConfig

    config = DriveConfig.parse(manifest["hyperparameters"])
    examples = examples.take(_stretches(len(examples)))
    files = {name: folder / name for name in (FLOAT_FILE, INT8_FILE) if name in manifest["models"]}
    commands = answer(open_files(files, config, trusted=True), examples)
    quantized = commands.get(INT8_FILE)
    return Driven(
        examples.angle.astype(np.float64),
        examples.throttle.astype(np.float64),
        commands[FLOAT_FILE]["angle"],
        commands[FLOAT_FILE]["throttle"],
        quantized["angle"] if quantized else None,
        examples.rows,
        examples.images,
    )


def _stretches(count: int) -> np.ndarray:
    """Return all of ``count`` places, or stretches spread evenly over them where those are too many: int64 (n,)."""
    if count <= MOST_FRAMES:
        return np.arange(count)
    starts = np.linspace(0, count - LONGEST_STRETCH, MOST_FRAMES // LONGEST_STRETCH).astype(np.int64)
    return (starts[:, None] + np.arange(LONGEST_STRETCH)).ravel()


def _remembered(frames: Mapping[str, Any]) -> Driven:
    """Take the frames that a manifest keeps, which lie some way apart."""

    def column(name: str) -> np.ndarray:
        return np.array(frames[name], np.float64)

    return Driven(
        column("driven_angle"),
        column("driven_throttle"),
        column("predicted_angle"),
        column("predicted_throttle"),
        int8_angle=None,
        row=np.arange(len(frames["image"])),
        images=frames["image"],
    )


def _stretch(driven: Driven) -> Charts:
    """Draw the stretch without a gap on which there is most to steer."""
    window = _liveliest(driven)
    frames = np.arange(len(driven.angle[window]))
    first, last = driven.images[window][0], driven.images[window][-1]
    charts = [
        Chart(
            plots.lines(
                [
                    plots.Line(DRIVER, frames, human[window], 1),
                    plots.Line(PILOT, frames, pilot[window], 2),
                ],
                "frame",
                label,
                wide=True,
            ),
            title,
            caption,
            wide=True,
        )
        for title, label, human, pilot, caption in (
            ("Steering", "left ← angle → right", driven.angle, driven.pilot_angle, f"From {first} to {last}."),
            ("Throttle", "throttle", driven.throttle, driven.pilot_throttle, ""),
        )
    ]
    return Charts(charts)


def _liveliest(driven: Driven) -> slice:
    """Return the window of a run without gaps, as long as can be, in which the driver steers most."""
    ends = [0, *(np.flatnonzero(np.diff(driven.row) != 1) + 1).tolist(), len(driven.row)]
    length = min(LONGEST_STRETCH, max(end - start for start, end in pairwise(ends)))
    windows = [
        slice(first, first + length)
        for start, end in pairwise(ends)
        for first in range(start, end - length + 1, max(length // 4, 1))
    ]
    return max(windows, key=lambda window: float(np.var(driven.angle[window])))


def _clouds(driven: Driven) -> Charts:
    bounds = (-1.0, 1.0)
    charts = [
        Chart(
            plots.cloud(driven.angle, driven.pilot_angle, "driver's angle", "pilot's angle", bounds),
            "Pilot against driver",
            "On the dashed line both steer the same. A flat band is a pilot that does not look.",
        )
    ]
    if driven.int8_angle is not None:
        charts.append(
            Chart(
                plots.cloud(driven.pilot_angle, driven.int8_angle, "float file's angle", "int8 file's angle", bounds),
                "int8 against float",
                "The quantized file should follow the dashed line closely.",
            )
        )
    else:
        edges = np.linspace(0, max(float(driven.error.max()), 0.01), 31)
        counts = np.histogram(driven.error, edges)[0]
        charts.append(Chart(plots.bars(edges, counts, "steering off by"), "How far off"))
    return Charts(charts)


def _gap(metrics: Mapping[str, Any]) -> list[Table]:
    gap = metrics["int8"]
    if not gap:
        return []
    rows = [
        [name.capitalize(), decimal(gap[f"{name}_mean"], 4), decimal(gap[f"{name}_most"], 4)]
        for name in ("angle", "throttle")
    ]
    return [Table(("int8 against float", "Apart on average", "At most"), rows, numeric=(1, 2))]


def _by_steering(metrics: Mapping[str, Any]) -> Table:
    bins = metrics["files"][metrics["scored_file"]]["steering"]
    most = max(row["frames"] for row in bins) or 1
    return Table(
        ("The driver steered", "Angle", "Frames", "Off by", "Bias", "Within 0.1"),
        [
            [
                Cell(row["name"]),
                Cell(f"{signed(row['from'])} to {signed(row['to'])}"),
                Cell(str(row["frames"]), bar=row["frames"] / most),
                Cell(decimal(row.get("mae"))),
                Cell(signed(row.get("bias"), 3)),
                Cell(share(row.get("within")), bar=row.get("within")),
            ]
            for row in bins
        ],
        numeric=(2, 3, 4, 5),
        caption="A bias towards the middle in the outer rows: it steers too little. Record more bends, or set balance.",
    )


def _pictures_intro() -> Prose:
    return Prose(
        "Needles point where the wheels were told to go. Where the pilot is furthest off, look who is wrong: if it is "
        "the driver, delete those records and train again."
    )


def _galleries(driven: Driven, examples: "DriveExamples") -> list[Gallery]:
    turning = np.abs(driven.angle) >= np.median(np.abs(driven.angle))
    best = np.where(turning, driven.error, np.inf)
    return [
        Gallery("Furthest off", _pictures(driven, examples, _apart(-driven.error)), (DRIVER, PILOT)),
        Gallery("Closest, among the sharper half of bends", _pictures(driven, examples, _apart(best)), (DRIVER, PILOT)),
    ]


def _apart(order: np.ndarray) -> list[int]:
    """Return the places of the smallest values of ``order`` (n,), no two of them close together."""
    chosen: list[int] = []
    for place in np.argsort(order, kind="stable").tolist():
        if np.isfinite(order[place]) and all(abs(place - other) >= APART for other in chosen):
            chosen.append(place)
        if len(chosen) == PICTURES:
            break
    return chosen


def _pictures(driven: Driven, examples: "DriveExamples", places: Sequence[int]) -> list[Picture]:
    frames = examples.cache.read(driven.row[np.array(places, np.int64)])
    return [_picture(frame, driven, place) for frame, place in zip(frames, places, strict=True)]


def _picture(frame: np.ndarray, driven: Driven, place: int) -> Picture:
    from PIL import Image

    content = io.BytesIO()
    Image.fromarray(frame).save(content, "JPEG", quality=88)
    height, width = frame.shape[:2]
    human, pilot = driven.angle[place], driven.pilot_angle[place]
    return Picture(
        content.getvalue(),
        width,
        height,
        f"{_record(driven.images[place])}\ndriver {signed(human)}\npilot {signed(pilot)}",
        [_needle(human, width, height, 1), _needle(pilot, width, height, 2)],
    )


def _record(image: str) -> str:
    """Return a frame's name as a driver finds it in a tub manager: the number that its file begins with."""
    name = image.rsplit("/", 1)[-1]
    number = name.split("_", 1)[0]
    return f"record {number}" if number.isdigit() else name


def _needle(angle: float, width: int, height: int, series: Any) -> Stroke:
    """Return a needle from the middle of the lower edge: straight up for 0, to the right for more."""
    turn, length = float(np.clip(angle, -1, 1)) * NEEDLE_AT_FULL_LOCK, NEEDLE_LENGTH * height
    x, y = width / 2, height - 4.0
    return Stroke(x, y, round(x + length * sin(turn), 1), round(y - length * cos(turn), 1), series)
