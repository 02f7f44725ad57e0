"""A pilot's report: how it drives, what it learnt from, and how it gets onto the car, as one HTML page."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainbox.report.page import Notice, Page, Section, Tile, Tiles
from trainbox.report.page import render as render_page
from trainbox.report.sections import files_section, learning_section, written_by
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
    metrics = manifest["metrics"]
    name = (manifest.get("job") or {}).get("name")
    sections: list[Section] = [
        scores_section(metrics),
        *driving_sections(folder, manifest, datasets.validation if datasets else None),
        learning_section(manifest, "the validation loss was least"),
        data_section(manifest),
        car_section(manifest),
        files_section(folder, manifest, "frames", "Which car loads what"),
    ]
    return render_page(
        Page(
            title=f"Pilot {metrics['pilot']}" + (f": {name}" if name else ""),
            subtitle=_subtitle(manifest),
            lead=[*_verdict(metrics), _tiles(manifest)],
            sections=sections,
            footer=written_by(manifest),
        )
    )


def _subtitle(manifest: Mapping[str, Any]) -> str:
    data, history = manifest["data"], manifest["history"]
    epochs = len(history["epochs"])
    return (
        f"Trained on {data['train_examples']} frames of {data['sessions']} "
        f"session{'' if data['sessions'] == 1 else 's'}, {epochs} epoch{'' if epochs == 1 else 's'} in "
        f"{history['seconds']:.0f} s. Every score is of {data['validation_examples']} frames it was never trained on."
    )


def _verdict(metrics: Mapping[str, Any]) -> list[Notice]:
    warned = metrics["warnings"]
    said = Notice([line for line in summary_lines(metrics) if not line.startswith("WARNING")], "" if warned else "good")
    return [Notice(warned, "bad"), said] if warned else [said]


def _tiles(manifest: Mapping[str, Any]) -> Tiles:
    metrics = manifest["metrics"]
    scores, blind = metrics["files"][metrics["scored_file"]], metrics["baseline"]
    proofs = [model["proof"]["largest_difference"] for model in manifest["models"].values()]
    tiles = [
        Tile("Within 0.1 of the driver", share(scores["angle_within"]), f"{share(blind['angle_within'])} not looking"),
        Tile("Steering R²", decimal(scores["angle_r2"], 2), "1 is perfect, 0 is not looking"),
        Tile("Steering off by", decimal(scores["angle_mae"]), f"{decimal(blind['angle_mae'])} not looking"),
        Tile("Throttle off by", decimal(scores["throttle_mae"]), f"{decimal(blind['throttle_mae'])} not looking"),
    ]
    if metrics["int8"]:
        tiles.append(Tile("int8 against float", decimal(metrics["int8"]["angle_mean"], 4), "angles apart, on average"))
    tiles.append(Tile("Files proved", f"{len(proofs)} of {len(proofs)}", "each loaded and compared with Keras"))
    return Tiles(tiles)
