"""``trainbox convert``: any data set that can be read, as TFRecords that the TensorFlow Object Detection API reads."""

import hashlib
import io
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from trainbox.data.files import UnreadableFile
from trainbox.data.images import decode_rgb, read_header
from trainbox.data.problems import Problems
from trainbox.errors import DataError, UsageError
from trainbox.tasks.detect.dataset import AnnotatedImage, DetectionData, read_dataset
from trainbox.tasks.detect.formats.framing import frame
from trainbox.tasks.detect.formats.label_map import write_label_map
from trainbox.tasks.detect.formats.splits import TEST, TRAIN, VALIDATION
from trainbox.tasks.detect.formats.tf_example import Values, encode_example

LABEL_MAP = "label_map.pbtxt"
SHARD_BYTES = 128 << 20
_JPEG_QUALITY = 95


def convert(
    paths: Sequence[Path],
    folder: Path,
    problems: Problems,
    data_format: str | None = None,
    shard_bytes: int = SHARD_BYTES,
) -> dict[str, int]:
    """Write the data sets at ``paths`` as TFRecords and a label map into the new or empty ``folder``.

    Returns the number of images by file stem ("train"). Raises DataError for data that cannot be read, UsageError
    where the folder holds something.
    """
    with tempfile.TemporaryDirectory(prefix="trainbox-") as scratch:
        data = read_dataset(paths, problems, Path(scratch), data_format)
        return write_tfrecords(data, folder, problems, shard_bytes)


def said(counts: Mapping[str, int], folder: Path) -> str:
    """Return what ``convert`` wrote, on one line."""
    images = ", ".join(f"{counts[split]:,} {split}" for split in (TRAIN, VALIDATION, TEST) if split in counts)
    return f"Wrote images ({images}) as TFRecords with {LABEL_MAP} into {folder}."


def write_tfrecords(
    data: DetectionData, folder: Path, problems: Problems, shard_bytes: int = SHARD_BYTES
) -> dict[str, int]:
    """Write a data set as ``<split>.record-00000-of-00001``... of about ``shard_bytes`` each, and a label map.

    Images without a split are "train". The folder appears when all is written. Raises UsageError where it holds
    something, DataError where the disk is full.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"TFRecords need a new or empty folder. Received: {folder}, which holds other files.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as scratch:
        written = Path(scratch) / "tfrecords"
        written.mkdir()
        try:
            counts = _write_splits(data, written, problems, shard_bytes)
            (written / LABEL_MAP).write_text(write_label_map(data.labels), encoding="utf-8")
            if folder.exists():
                folder.rmdir()
            written.rename(folder)
        except OSError as error:
            raise DataError(f"TFRecords cannot be written to {folder}: {error.strerror}.") from error
    return counts


def _write_splits(data: DetectionData, folder: Path, problems: Problems, shard_bytes: int) -> dict[str, int]:
    counts = {}
    for split in dict.fromkeys(image.split or "train" for image in data.images):
        images = [image for image in data.images if (image.split or "train") == split]
        shards = counts[split] = room = 0
        for record in _records(images, data.labels, problems):
            if room < len(record):
                shards, room = shards + 1, max(shard_bytes, len(record))
            with (folder / f"{split}-{shards}").open("ab") as file:
                file.write(record)
            room -= len(record)
            counts[split] += 1
        # How many there are is part of each name, and known only now.
        for number in range(shards):
            (folder / f"{split}-{number + 1}").rename(folder / f"{split}.record-{number:05d}-of-{shards:05d}")
    return counts


def _records(images: Sequence[AnnotatedImage], labels: Sequence[str], problems: Problems) -> Iterator[bytes]:
    for image in images:
        try:
            encoded, kind = _encoded(image, problems)
        except UnreadableFile as error:
            problems.skip(error.reason, str(image.image))
            continue
        yield frame(encode_example(_features(image, encoded, kind, labels)))


def _encoded(image: AnnotatedImage, problems: Problems) -> tuple[bytes, bytes]:
    """Return image bytes that TensorFlow decodes to the picture as it is shown, and their format."""
    content = image.image.read()
    header = read_header(content)
    pixels, _ = decode_rgb(content)
    plain = header.orientation == 1 and header.mode in ("RGB", "L")
    if plain and header.kind in ("JPEG", "PNG"):
        return content, header.kind.lower().encode()
    # TensorFlow knows no EXIF, and would show such a picture on its side and its boxes elsewhere.
    problems.warn("image is encoded anew, upright and as RGB", str(image.image))
    kind = "JPEG" if header.kind == "JPEG" else "PNG"
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(
        buffer, format=kind, **({"quality": _JPEG_QUALITY, "subsampling": 0} if kind == "JPEG" else {})
    )
    return buffer.getvalue(), kind.lower().encode()


def _features(image: AnnotatedImage, encoded: bytes, kind: bytes, labels: Sequence[str]) -> Mapping[str, Values]:
    corners = np.asarray(image.boxes_yxyx, np.float64)
    pixels = np.asarray(image.boxes_yxyx_pixels, np.float64)
    areas = (pixels[:, 2] - pixels[:, 0]) * (pixels[:, 3] - pixels[:, 1])
    name = image.file_name.encode("utf-8", "surrogateescape")
    return {
        "image/encoded": [encoded],
        "image/format": [kind],
        "image/filename": [name],
        "image/source_id": [image.source_id.encode("utf-8", "surrogateescape") or name],
        "image/height": [image.height],
        "image/width": [image.width],
        "image/key/sha256": [hashlib.sha256(encoded).hexdigest().encode()],
        "image/object/bbox/ymin": corners[:, 0].tolist(),
        "image/object/bbox/xmin": corners[:, 1].tolist(),
        "image/object/bbox/ymax": corners[:, 2].tolist(),
        "image/object/bbox/xmax": corners[:, 3].tolist(),
        "image/object/area": areas.tolist(),
        "image/object/class/text": [labels[number].encode() for number in image.classes],
        "image/object/class/label": [int(number) + 1 for number in image.classes],
        "image/object/difficult": [int(flag) for flag in image.difficult],
        "image/object/is_crowd": [int(flag) for flag in image.crowd],
    }
