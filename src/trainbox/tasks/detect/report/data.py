"""What the detector learnt from, and what was left out of it and why."""

from collections.abc import Mapping
from typing import Any

from trainbox.report.page import Block, Cell, Details, Notice, Prose, Section, Table
from trainbox.report.sections import problem_blocks
from trainbox.tasks.detect.metrics import SIZES

_LEAST_BOXES = 20
"""Of a class: with fewer, what it looks like is hardly learnt."""
_HISTOGRAMS = (
    ("area_shares", "Boxes by share of the picture"),
    ("aspect_ratios", "Boxes by width to height"),
    ("boxes_per_image", "Pictures by number of boxes"),
)


def data_section(manifest: Mapping[str, Any]) -> Section:
    """Return the counts of pictures and boxes, how they were split, and what was skipped."""
    data = manifest["data"]
    counted = data["statistics"]
    blocks: list[Block] = [Prose(_read(data)), *_notices(data), _classes(counted["classes"])]
    tables = [_histogram(title, counted[name]) for name, title in _HISTOGRAMS]
    blocks.append(Details("Sizes and shapes", tables))
    return Section("What it learnt from", [*blocks, *problem_blocks(manifest["problems"])], contents="Data")


def _read(data: Mapping[str, Any]) -> str:
    counted = data["statistics"]
    splits = ", ".join(f"{count} {name}" for name, count in data["splits"].items() if count)
    return (
        f"{counted['images']} pictures with {counted['boxes']} boxes were read as {', '.join(data['formats'])}; "
        f"{counted['background']} pictures hold nothing and teach what nothing looks like. Split: {splits}, by "
        f"{data['split']}."
    )


def _notices(data: Mapping[str, Any]) -> list[Notice]:
    lines = []
    if data.get("pipeline_config"):
        lines.append(f"Network, losses and detection settings are those of {data['pipeline_config']}.")
    if data.get("pipeline_config_unused"):
        lines.append(f"Settings in it that are not used here: {', '.join(data['pipeline_config_unused'])}.")
    lines += data.get("start", [])
    rare = [name for name, one in data["statistics"]["classes"].items() if one["boxes"] < _LEAST_BOXES]
    said = [Notice(lines)] if lines else []
    if rare:
        warned = f"Fewer than {_LEAST_BOXES} boxes: {', '.join(rare)}. More of them will help more than more epochs."
        said.append(Notice([warned], "warning"))
    return said


def _classes(classes: Mapping[str, Mapping[str, int]]) -> Table:
    most = max([1, *(one["boxes"] for one in classes.values())])
    rows = [
        [
            Cell(name),
            Cell(str(one["images"])),
            Cell(str(one["boxes"]), bar=one["boxes"] / most),
            *(Cell(str(one[size])) for size in SIZES),
        ]
        for name, one in classes.items()
    ]
    return Table(("Class", "Pictures", "Boxes", *(size.capitalize() for size in SIZES)), rows, numeric=range(1, 6))


def _histogram(title: str, counts: Mapping[str, int]) -> Table:
    most = max([1, *counts.values()])
    rows = [[Cell(name), Cell(str(count), bar=count / most)] for name, count in counts.items()]
    return Table((title, "Count"), rows, numeric=(1,))
