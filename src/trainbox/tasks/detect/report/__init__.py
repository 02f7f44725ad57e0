"""A detector's report: how well it finds what, where it errs, what it learnt from, and how it is used, as one page."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainbox.report.page import Section, Tile, Tiles
from trainbox.report.sections import files_section, files_tile, learning_section, page, trained_on, verdict
from trainbox.report.words import decimal, share
from trainbox.tasks.detect.report.data import data_section
from trainbox.tasks.detect.report.mistakes import mistakes_section, pictures_section
from trainbox.tasks.detect.report.scores import curves_section, scores_section
from trainbox.tasks.detect.report.use import use_section
from trainbox.tasks.detect.sentences import listed, summary_lines

if TYPE_CHECKING:
    from trainbox.tasks import Datasets
    from trainbox.training.fit import History

_WATCHED = {"val_mAP": "mAP", "val_mAP50": "mAP50"}


def render(
    folder: Path, manifest: Mapping[str, Any], datasets: "Datasets | None", history: "History | None" = None
) -> str:
    """Return the report of the model files in ``folder``, whose manifest so far has its ``metrics``.

    Without ``datasets`` (the data may be gone) there are no pictures. ``history`` is in the manifest too, and is read
    from there.
    """
    metrics = manifest["metrics"]
    sections: list[Section] = [scores_section(metrics), curves_section(metrics), mistakes_section(metrics)]
    if datasets is not None and metrics["pictures"]:
        sections.append(pictures_section(metrics, datasets.validation))
    sections += [
        learning_section(manifest, "the validation mAP was highest", _WATCHED),
        data_section(manifest),
        use_section(manifest),
        files_section(folder, manifest, "pictures", "What loads what"),
    ]
    data = manifest["data"]
    return page(
        manifest,
        f"Detector of {listed(manifest['labels'])}",
        trained_on(manifest, f"{data['train_examples']} pictures", f"{data['validation_examples']} pictures"),
        [*verdict(metrics["warnings"], summary_lines(metrics)), _tiles(manifest)],
        sections,
    )


def _tiles(manifest: Mapping[str, Any]) -> Tiles:
    metrics = manifest["metrics"]
    scores = metrics["files"][metrics["scored_file"]]
    best = scores["best_threshold"]
    tiles = [
        Tile("mAP50", decimal(scores["mAP50"]), "boxes that overlap by half"),
        Tile("mAP", decimal(scores["mAP"]), "overlaps of .5 to .95, as COCO scores"),
    ]
    if best:
        tiles += [
            Tile("Found", share(best["recall"]), f"of what is there, from score {best['threshold']:.2f} on"),
            Tile("Right", share(best["precision"]), "of what is found, from the same score on"),
        ]
    if metrics["int8"]:
        lost = metrics["int8"]["mAP50_lost"]
        points = "points of mAP50 lost" if lost >= 0 else "points of mAP50 gained"
        tiles.append(Tile("Quantized", decimal(100 * abs(lost), 1), points, "warning" if lost > 0.01 else ""))
    return Tiles([*tiles, files_tile(manifest)])
