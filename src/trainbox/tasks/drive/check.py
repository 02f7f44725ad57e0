"""What ``trainbox check`` says of tubs: every record read and every image decoded, as training would."""

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from trainbox.data.files import FileReference
from trainbox.data.problems import Problems
from trainbox.data.survey import ImageSurvey, survey_images
from trainbox.data.text import printable
from trainbox.tasks import CheckReport, Section
from trainbox.tasks.drive.tubs import Record, Tub, read_tubs

# The car steers in as many steps; throttle is shown in tenths.
ANGLE_EDGES = np.linspace(-1, 1, 16)
THROTTLE_EDGES = np.linspace(-1, 1, 21)


def check(paths: Sequence[Path], workers: int | None = None) -> CheckReport:
    """Read every tub below ``paths`` and decode every image in ``workers`` processes (one a processor where None).

    Raises DataError where there is no tub, ArchiveError where an archive is refused as a whole.
    """
    problems = Problems()
    tubs = read_tubs(paths, problems)
    records = [record for tub in tubs for record in tub.records]
    spare = [image for tub in tubs for image in tub.spare_images]
    images = [record.image for record in records] + spare
    survey = survey_images(images, workers)
    _report_images(survey, images, len(records), problems)
    usable = [record for record, readable in zip(records, survey.readable, strict=False) if readable]
    data = _data(tubs, usable, survey)
    return CheckReport(len(usable), problems, _sections(data), data)


def _report_images(survey: ImageSurvey, images: Sequence[FileReference], records: int, problems: Problems) -> None:
    """Count the images that cost a record as skips, and those of records that are left out anyway as warnings."""
    for index, reason in survey.unreadable:
        image = images[index]
        if index < records:
            problems.skip(reason, str(image))
        elif image.tree.size(image.name):  # Empty ones were counted when the records were read.
            problems.warn(f"image of a record left out: {reason}", str(image))
    for index, note in survey.odd:
        if index < records:
            problems.warn(note, str(images[index]))
    if len(survey.sizes) > 1:
        problems.warn("images are of several sizes: training resizes them to one", "", sum(survey.sizes.values()))


def _data(tubs: Sequence[Tub], usable: Sequence[Record], survey: ImageSurvey) -> dict[str, Any]:
    found = sum(tub.found for tub in tubs)
    return {
        "records": {"found": found, "usable": len(usable), "left_out": found - len(usable)},
        "tubs": [_tub_data(tub) for tub in tubs],
        "sessions": sum(_sessions(tub) for tub in tubs),
        "images": {
            "decodable": int(survey.readable.sum()),
            "unreadable": len(survey.unreadable),
            "sizes": {f"{width}x{height}": count for (height, width), count in survey.sizes.most_common()},
        },
        "drive_modes": dict(Counter(record.mode for record in usable).most_common()),
        "angle": _spread([record.angle for record in usable], ANGLE_EDGES),
        "throttle": _spread([record.throttle for record in usable], THROTTLE_EDGES),
        "records_per_second": _rate(usable),
        "other_values": dict(sorted(Counter(key for record in usable for key in record.values).items())),
    }


def _tub_data(tub: Tub) -> dict[str, Any]:
    return {
        "tub": tub.label,
        "version": tub.version,
        "found": tub.found,
        "read": len(tub.records),
        "sessions": _sessions(tub),
    }


def _sessions(tub: Tub) -> int:
    return len({record.session for record in tub.records})


def _spread(values: Sequence[float], edges: np.ndarray) -> dict[str, Any]:
    """Return the statistics of commands and how many fall between each two edges."""
    if not values:
        return {}
    counts, _ = np.histogram(values, edges)
    return {
        "mean": round(float(np.mean(values)), 4),
        "deviation": round(float(np.std(values)), 4),
        "minimum": min(values),
        "maximum": max(values),
        "histogram": [
            {"from": round(float(low), 4), "to": round(float(high), 4), "count": int(count)}
            for low, high, count in zip(edges, edges[1:], counts, strict=False)
        ],
    }


def _rate(usable: Sequence[Record]) -> float | None:
    """Return how many records a second were made while recording, None where the times are not known."""
    steps = [
        later.timestamp_ms - earlier.timestamp_ms
        for earlier, later in pairwise(usable)
        if earlier.timestamp_ms is not None
        and later.timestamp_ms is not None
        and later.position == earlier.position + 1
        and later.session == earlier.session
    ]
    median = float(np.median(steps)) if steps else 0.0
    return round(1000 / median, 1) if median > 0 else None


def _sections(data: dict[str, Any]) -> list[Section]:
    records, images = data["records"], data["images"]
    totals = [
        ("found", f"{records['found']:,}"),
        ("usable", f"{records['usable']:,}"),
        ("left out", f"{records['left_out']:,}"),
        ("sessions", f"{data['sessions']:,}"),
        ("a second while recording", str(data["records_per_second"] or "unknown")),
    ]
    pictures = [
        ("decodable", f"{images['decodable']:,}"),
        ("unreadable", f"{images['unreadable']:,}"),
        *((f"of {size}", f"{count:,}") for size, count in list(images["sizes"].items())[:5]),
    ]
    sections = [
        Section("Tubs", [_tub_row(tub) for tub in data["tubs"]]),
        Section("Records", totals),
        Section("Images", pictures),
        Section("Drive modes", [(printable(mode), f"{count:,}") for mode, count in data["drive_modes"].items()]),
        _histogram("Angle (-1 left, 1 right)", data["angle"]),
        _histogram("Throttle", data["throttle"]),
    ]
    if data["other_values"]:
        sections.append(
            Section("Other values", [(printable(key), f"{count:,}") for key, count in data["other_values"].items()])
        )
    return [section for section in sections if section.rows or section.histogram]


def _tub_row(tub: dict[str, Any]) -> tuple[str, str]:
    sessions = "1 session" if tub["sessions"] == 1 else f"{tub['sessions']} sessions"
    return tub["tub"], f"version {tub['version']}, {tub['read']:,} of {tub['found']:,} records, {sessions}"


def _histogram(title: str, spread: dict[str, Any]) -> Section:
    if not spread:
        return Section(title)
    rows = [
        ("mean", f"{spread['mean']:+.3f}"),
        ("deviation", f"{spread['deviation']:.3f}"),
        ("range", f"{spread['minimum']:+.3f} to {spread['maximum']:+.3f}"),
    ]
    bars = [(f"{bar['from']:+.2f} to {bar['to']:+.2f}", bar["count"]) for bar in spread["histogram"]]
    return Section(title, rows, bars)
