"""What ``trainbox check`` says of a detection data set: every annotation read and every image decoded."""

import dataclasses
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from trainbox.data.problems import Problems
from trainbox.data.survey import survey_images
from trainbox.errors import UsageError
from trainbox.tasks import CheckReport, Section
from trainbox.tasks.detect.contact_sheet import draw_contact_sheet
from trainbox.tasks.detect.dataset import DetectionData, read_dataset
from trainbox.tasks.detect.statistics import SIZES, DatasetStatistics, count_dataset


def check(
    paths: Sequence[Path], workers: int | None = None, data_format: str | None = None, sheet: Path | None = None
) -> CheckReport:
    """Read the data sets at ``paths`` and decode every image in ``workers`` processes (one a processor where None).

    ``sheet`` is a PNG file to write the contact sheet to. Raises DataError where there is no data set, or one that is
    refused as a whole, UsageError where the sheet cannot be written.
    """
    problems = Problems()
    with tempfile.TemporaryDirectory(prefix="trainbox-") as scratch:
        data = _decodable(read_dataset(paths, problems, Path(scratch), data_format), problems, workers)
        if sheet is not None:
            _write_sheet(data, sheet)
    counted = count_dataset(data)
    said: dict[str, Any] = {"formats": list(data.formats), **counted.as_dict()}
    if sheet is not None:
        said["contact_sheet"] = str(sheet)
    return CheckReport(len(data.images), problems, _sections(data, counted, sheet), said)


def _write_sheet(data: DetectionData, sheet: Path) -> None:
    try:
        Image.fromarray(draw_contact_sheet(data)).save(sheet, format="PNG")
    except OSError as error:
        raise UsageError(f"The sheet {sheet} cannot be written: {error.strerror or error}. Give another.") from error


def _decodable(data: DetectionData, problems: Problems, workers: int | None) -> DetectionData:
    """Return the data without the images that cannot be decoded, counting them."""
    images = [image.image for image in data.images]
    survey = survey_images(images, workers)
    for index, reason in survey.unreadable:
        problems.skip(reason, str(images[index]))
    for index, note in survey.odd:
        problems.warn(note, str(images[index]))
    kept = tuple(image for image, readable in zip(data.images, survey.readable, strict=True) if readable)
    return dataclasses.replace(data, images=kept)


def _sections(data: DetectionData, counted: DatasetStatistics, sheet: Path | None) -> list[Section]:
    totals = [
        ("format", ", ".join(data.formats)),
        ("images", f"{counted.images:,}"),
        ("of them background", f"{counted.background:,}"),
        ("boxes", f"{counted.boxes:,}"),
        ("of them difficult", f"{counted.difficult:,}"),
        ("of them crowds", f"{counted.crowd:,}"),
        *((f"split {name}", f"{count:,}") for name, count in counted.splits),
        *((f"of {size} pixels", f"{count:,}") for size, count in counted.image_sizes[:5]),
        *([("contact sheet", str(sheet))] if sheet is not None else []),
    ]
    classes = [
        (one.name, f"{one.boxes:,} boxes in {one.images:,} images: " + _by_size(one.sizes)) for one in counted.classes
    ]
    return [
        Section("Data", totals),
        Section("Classes (small is below 32x32 pixels, large above 96x96)", classes),
        Section("Boxes by share of the image", histogram=counted.area_shares),
        Section("Boxes by width to height", histogram=counted.aspect_ratios),
        Section("Images by number of boxes", histogram=counted.boxes_per_image),
    ]


def _by_size(sizes: tuple[int, int, int]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in zip(SIZES, sizes, strict=True))
