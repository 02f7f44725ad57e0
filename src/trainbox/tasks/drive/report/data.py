"""What the pilot learnt from, and what was left out of it and why."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from trainbox.report import plots
from trainbox.report.page import Block, Chart, Charts, Notice, Prose, Section, Table
from trainbox.report.sections import problem_blocks
from trainbox.report.words import share

_SPLITS = {
    "blocks": "Validation frames are contiguous blocks of driving, never cut out of the middle of what was trained on.",
    "channel": "Validation frames are of a channel of their own: none of their images was trained on.",
    "random": "Validation frames were drawn at random, as donkeycar does: neighbours are near copies, so the scores "
    "flatter. Set validation=blocks for scores that hold on the track.",
}


def data_section(manifest: Mapping[str, Any]) -> Section:
    """Return the tubs, how they were split, what they were driven like, and what was skipped."""
    data, problems = manifest["data"], manifest["problems"]
    used, found = data["records_used"], data["records_found"]
    modes = ", ".join(f"{name} {count}" for name, count in data["modes"].items())
    rows = [[tub["label"], f"v{tub['version']}", str(tub["records"])] for tub in data["tubs"]]
    blocks: list[Block] = [
        Prose(
            f"{found} records were found and {used} used ({share(used / found if found else None)}): "
            f"{data['train_examples']} to train on, {data['validation_examples']} to validate on. "
            f"Drive modes: {modes or 'none'}."
        ),
        Notice([_SPLITS[data["validation"]]], "warning" if data["validation"] == "random" else ""),
        Table(("Tub", "Version", "Records"), rows, numeric=(2,)),
        Charts(_histograms(data, manifest["hyperparameters"])),
    ]
    blocks += problem_blocks(problems)
    return Section("What it learnt from", blocks, contents="Data")


def _histograms(data: Mapping[str, Any], hyperparameters: Mapping[str, Any]) -> list[Chart]:
    angles, throttles = np.array(data["angle_histogram"]), np.array(data["throttle_histogram"])
    half = 1 / (len(angles) - 1)
    step = hyperparameters["throttle_range"] / len(throttles)
    return [
        Chart(
            plots.bars(np.linspace(-1 - half, 1 + half, len(angles) + 1), angles, "angle: left ← → right"),
            "Steering in the data",
            "A tall middle and thin sides make a pilot that steers too little.",
        ),
        Chart(
            plots.bars((np.arange(len(throttles) + 1) - 0.5) * step, throttles, "throttle"),
            "Throttle in the data",
            "Throttles below 0 count as 0, those beyond the range as its end.",
        ),
    ]
