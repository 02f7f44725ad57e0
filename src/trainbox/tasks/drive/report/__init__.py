"""A pilot's report: how it drives, what it learnt from, and how it gets onto the car, as one HTML page."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainbox.report.page import Section, Tile, Tiles
from trainbox.report.sections import files_section, files_tile, learning_section, page, trained_on, verdict
from trainbox.report.words import decimal, share
from trainbox.tasks.drive.report.car import car_section
from trainbox.tasks.drive.report.data import data_section
from trainbox.tasks.drive.report.driving import driving_sections
from trainbox.tasks.drive.report.scores import scores_section
from trainbox.tasks.drive.sentences import summary_lines

if TYPE_CHECKING:
    from trainbox.tasks.drive.datasets import DriveDatasets
    from trainbox.training.fit import History


def render(
    folder: Path, manifest: Mapping[str, Any], datasets: "DriveDatasets | None", history: "History | None" = None
) -> str:
    """Return the report of the model files in ``folder``, whose manifest so far has its ``metrics``.

    Without ``datasets`` (the data may be gone) there are no pictures, and curves only of the frames that the manifest
    keeps. ``history`` is in the manifest too, and is read from there.
    """
    metrics, data = manifest["metrics"], manifest["data"]
    sections: list[Section] = [
        scores_section(metrics),
        *driving_sections(folder, manifest, datasets.validation if datasets else None),
        learning_section(manifest, "the validation loss was least"),
        data_section(manifest),
        car_section(manifest),
        files_section(folder, manifest, "frames", "Which car loads what"),
    ]
    sessions = f"{data['sessions']} session{'' if data['sessions'] == 1 else 's'}"
    return page(
        manifest,
        f"Pilot {metrics['pilot']}",
        trained_on(manifest, f"{data['train_examples']} frames of {sessions}", f"{data['validation_examples']} frames"),
        [*verdict(metrics["warnings"], summary_lines(metrics)), _tiles(manifest)],
        sections,
    )


def _tiles(manifest: Mapping[str, Any]) -> Tiles:
    metrics = manifest["metrics"]
    scores, blind = metrics["files"][metrics["scored_file"]], metrics["baseline"]
    tiles = [
        Tile("Within 0.1 of the driver", share(scores["angle_within"]), f"{share(blind['angle_within'])} not looking"),
        Tile("Steering R²", decimal(scores["angle_r2"], 2), "1 is perfect, 0 is not looking"),
        Tile("Steering off by", decimal(scores["angle_mae"]), f"{decimal(blind['angle_mae'])} not looking"),
        Tile("Throttle off by", decimal(scores["throttle_mae"]), f"{decimal(blind['throttle_mae'])} not looking"),
    ]
    if metrics["int8"]:
        tiles.append(Tile("int8 against float", decimal(metrics["int8"]["angle_mean"], 4), "angles apart, on average"))
    return Tiles([*tiles, files_tile(manifest)])
