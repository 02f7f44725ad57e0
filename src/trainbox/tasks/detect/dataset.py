"""One model of a detection data set, whatever format it came in."""

import dataclasses
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from trainbox.data.cache import ImageSource
from trainbox.data.files import UnreadableFile
from trainbox.data.images import ImageHeader, read_header
from trainbox.data.problems import Problems
from trainbox.data.text import printable
from trainbox.errors import DataError
from trainbox.tasks.detect.boxes import usable_boxes
from trainbox.tasks.detect.formats.annotation import Annotation
from trainbox.tasks.detect.formats.pipeline_config import PipelineConfig
from trainbox.tasks.detect.reading import Source, SourceContent, read_sources

MAX_SKIPPED_SHARE = 0.5
DIGEST_BYTES = 16
# What costs a whole image, and so counts towards the share at which the data is refused.
_IMAGE_LOST = (
    "annotated image is missing",
    "annotation is not valid XML",
    "annotation declares a DOCTYPE",
    "record with a wrong checksum",
    "record is not a tf.train.Example",
    "record has no image/encoded",
    "record has box arrays of unequal lengths",
    "record has boxes without classes",
)


@dataclass(frozen=True, slots=True, eq=False)
class AnnotatedImage:
    """An image and its boxes.

    ``height`` and ``width`` are pixels as the image is shown (EXIF orientation applied), and so is ``boxes_yxyx``:
    float32 (n, 4), fractions of 0 to 1, each with an area. ``classes`` is int64 (n,), numbered from 0. ``difficult``
    and ``crowd`` are bool (n,): a crowd's box is for scoring, not for training. ``split`` is "train", "validation",
    "test" or "" where the data has none. ``digest`` is equal where two image files are.
    """

    image: ImageSource
    file_name: str
    height: int
    width: int
    orientation: int
    boxes_yxyx: np.ndarray
    classes: np.ndarray
    difficult: np.ndarray
    crowd: np.ndarray
    split: str
    source_id: str
    digest: bytes

    @property
    def boxes_yxyx_pixels(self) -> np.ndarray:
        """The boxes in pixels: float32 (n, 4)."""
        return self.boxes_yxyx * np.array([self.height, self.width] * 2, np.float32)


@dataclass(frozen=True, eq=False)
class DetectionData:
    """All images in the order of their files, background (no box) included, and the class names in order.

    ``pipeline`` is the pipeline.config that lay beside them, where one did.
    """

    images: tuple[AnnotatedImage, ...]
    labels: tuple[str, ...]
    formats: tuple[str, ...]
    pipeline: PipelineConfig | None = None

    def renumbered(self, numbers: np.ndarray, labels: tuple[str, ...]) -> "DetectionData":
        """Return the data with its class k as ``numbers[k]`` of other ``labels``."""
        images = tuple(dataclasses.replace(image, classes=numbers[image.classes]) for image in self.images)
        return dataclasses.replace(self, images=images, labels=labels)

    def fingerprint(self) -> str:
        """Return a digest of every image, box, class and split, and the labels: hexadecimal."""
        digest = hashlib.blake2b(repr(self.labels).encode(), digest_size=16)
        for image in self.images:
            digest.update(image.digest + image.split.encode() + len(image.classes).to_bytes(4, "little"))
            digest.update(image.boxes_yxyx.tobytes() + image.classes.tobytes() + image.crowd.tobytes())
        return digest.hexdigest()


def read_dataset(
    sources: Sequence[Source | Path], problems: Problems, scratch: Path, data_format: str | None = None
) -> DetectionData:
    """Read the data sets below ``sources`` as one; count in ``problems`` what is left out or odd.

    ``scratch`` is an empty folder that must stay as long as images are read: records of compressed or archived
    TFRecords are unpacked there. ``data_format`` ("tfrecord", "coco", "yolo", "voc", "csv") chooses where a source
    has several. Raises DataError where nothing usable is there or too much would be left out.
    """
    # Counted apart, since what is refused is told from the counts of this data alone.
    here = Problems()
    try:
        return _read(read_sources(sources, here, scratch, data_format), here)
    finally:
        problems.merge(here)


def _read(content: Sequence[SourceContent], problems: Problems) -> DetectionData:
    labels = _labels(content)
    numbers = {name: number for number, name in enumerate(labels)}
    images = list(_usable(content, numbers, problems))
    _refuse_unusable(images, content, problems)
    _warn_of_unused_labels(images, labels, problems)
    pipeline = next((one.pipeline for one in content if one.pipeline), None)
    return DetectionData(tuple(images), labels, tuple(dict.fromkeys(one.format.title for one in content)), pipeline)


def _labels(content: Sequence[SourceContent]) -> tuple[str, ...]:
    """Return the declared class names where data declares them, else those that occur, sorted."""
    declared = {one.annotations.labels: one.label for one in content if one.annotations.labels is not None}
    if len(declared) > 1:
        (first, here), (second, there) = list(declared.items())[:2]
        raise DataError(
            f"'{here}' and '{there}' declare different classes. Received: {', '.join(map(printable, first or ()))} and "
            f"{', '.join(map(printable, second or ()))}. Give all the same ones, in the same order."
        )
    if declared:
        return next(iter(declared)) or ()
    occurring = {box.name for one in content for annotation in one.annotations.annotations for box in annotation.boxes}
    return tuple(sorted(occurring))


def _usable(content: Sequence[SourceContent], numbers: dict[str, int], problems: Problems) -> Iterator[AnnotatedImage]:
    for one in content:
        for annotation in one.annotations.annotations:
            try:
                encoded = annotation.image.read()
                header = read_header(encoded)
            except UnreadableFile as error:
                problems.skip(error.reason, str(annotation.image))
                continue
            digest = hashlib.blake2b(encoded, digest_size=DIGEST_BYTES).digest()
            yield _annotated(annotation, header, digest, numbers, one.split, problems)


def _annotated(
    annotation: Annotation, header: ImageHeader, digest: bytes, numbers: dict[str, int], split: str, problems: Problems
) -> AnnotatedImage:
    boxes, kept = usable_boxes(annotation, header, problems)
    written = [box for box, keep in zip(annotation.boxes, kept, strict=True) if keep]
    known = np.array([box.name in numbers for box in written], bool)
    for box in written:
        if box.name not in numbers:
            problems.skip("class is not in the label map", f"{annotation.where}: {printable(box.name)}")
    written = [box for box in written if box.name in numbers]
    crowds = sum(box.crowd for box in written)
    if crowds:
        problems.skip("box of a crowd is not trained on", annotation.where, crowds)
    return AnnotatedImage(
        annotation.image,
        annotation.file_name,
        header.height,
        header.width,
        header.orientation,
        boxes[known],
        np.array([numbers[box.name] for box in written], np.int64),
        np.array([box.difficult for box in written], bool),
        np.array([box.crowd for box in written], bool),
        split or annotation.split,
        annotation.source_id,
        digest,
    )


def _refuse_unusable(images: Sequence[AnnotatedImage], content: Sequence[SourceContent], problems: Problems) -> None:
    read = ", ".join(f"{one.label} as {one.format.title}" for one in content)
    found = sum(len(one.annotations.annotations) for one in content)
    lost = found - len(images) + sum(problems.skips[reason].count for reason in _IMAGE_LOST if reason in problems.skips)
    if not sum(len(image.classes) for image in images):
        raise DataError(f"No box is left to train on. Received: {read}, {len(images)} images. {_most(problems)}")
    if lost > MAX_SKIPPED_SHARE * (lost + len(images)):
        raise DataError(
            f"Too many images cannot be used: {lost} of {lost + len(images)}. Received: {read}. {_most(problems)}"
        )


def _most(problems: Problems) -> str:
    """Say what was left out most often, and the first place."""
    if not problems.skips:
        return "Nothing was left out: the annotations have no boxes."
    reason, tally = max(problems.skips.items(), key=lambda item: item[1].count)
    return f"Most often: {reason} ({tally.count} times, first: {next(iter(tally.examples), '?')})."


def _warn_of_unused_labels(images: Sequence[AnnotatedImage], labels: tuple[str, ...], problems: Problems) -> None:
    seen = set(np.concatenate([image.classes for image in images]).tolist())
    for number, name in enumerate(labels):
        if number not in seen:
            problems.warn("class has no box", printable(name))
