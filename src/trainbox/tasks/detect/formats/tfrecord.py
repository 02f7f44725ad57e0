"""TFRecords of ``tf.train.Example`` as the TensorFlow Object Detection API writes and reads them."""

import posixpath
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from trainbox.data.files import FileTree, FolderTree, UnreadableFile
from trainbox.data.problems import Problems
from trainbox.data.text import printable
from trainbox.errors import DataError
from trainbox.tasks.detect.formats.annotation import Annotation, AnnotationSet, Box, Format, Reading
from trainbox.tasks.detect.formats.framing import is_compressed, is_framed, read_frames, unpack
from trainbox.tasks.detect.formats.splits import split_of_file
from trainbox.tasks.detect.formats.tf_example import BrokenExample, Values, decode_example, integers, numbers, texts

MAX_ARCHIVED_BYTES = 4 << 30
# "train.record", "x.tfrecord-00000-of-00010", "train-00000-of-00010.gz"; not "model.ckpt.data-00000-of-00001".
_NAME = re.compile(r"(\.(tf_?)?records?(-\d{5}-of-\d{5})?|(?<!\.data)-\d{5}-of-\d{5})(\.gz|\.zlib)?$", re.IGNORECASE)
_SHARD = re.compile(r"(.*)-(\d{5})-of-(\d{5})")
_CORNERS = tuple(f"image/object/bbox/{corner}" for corner in ("ymin", "xmin", "ymax", "xmax"))


@dataclass(frozen=True, slots=True)
class RecordImage:
    """The image inside one record of a file on disk, read again when it is needed."""

    path: Path
    offset: int
    length: int
    where: str

    def read(self) -> bytes:
        """Return the encoded image; raise UnreadableFile where the file was changed meanwhile."""
        try:
            with self.path.open("rb", buffering=0) as file:
                file.seek(self.offset)
                content = decode_example(file.read(self.length))["image/encoded"][0]
        except (OSError, BrokenExample, KeyError, IndexError):
            raise UnreadableFile("record cannot be read again") from None
        return content if isinstance(content, bytes) else b""

    def __str__(self) -> str:
        return self.where


def _find(tree: FileTree) -> list[str]:
    """Return the files that are named as TFRecords are, event files of TensorBoard apart."""
    return [name for name in tree.names() if _NAME.search(posixpath.basename(name)) and "tfevents" not in name]


def _read(tree: FileTree, names: Sequence[str], reading: Reading) -> AnnotationSet:
    sharded = _warn_of_missing_shards(tree, names, reading.problems)
    annotations: list[Annotation] = []
    read = []
    for name in names:
        found, records = _read_file(tree, name, reading)
        if not records and name not in sharded:
            raise DataError(f"'{tree.where(name)}' holds no record. Received: {tree.size(name)} bytes. Make it again.")
        annotations += found
        read.append(records)
    if not sum(read):
        raise DataError(
            f"The TFRecords of '{tree.label}' hold no record. Received: {len(names)} files. Make them again."
        )
    return AnnotationSet(annotations, reading.label_map.labels() if reading.label_map else None)


def _warn_of_missing_shards(tree: FileTree, names: Sequence[str], problems: Problems) -> set[str]:
    """Count shards that others speak of and that are not there; return the names that are shards of several."""
    found = {name: match for name in names if (match := _SHARD.search(name))}
    present = {(match[1], int(match[2])) for match in found.values()}
    for stem, count in sorted({(match[1], int(match[3])) for match in found.values()}):
        for number in range(min(count, 100_000)):
            if (stem, number) not in present:
                problems.warn("shard is missing", tree.where(f"{stem}-{number:05d}-of-{count:05d}"))
    return {name for name, match in found.items() if int(match[3]) > 1}


def _read_file(tree: FileTree, name: str, reading: Reading) -> tuple[list[Annotation], int]:
    """Return a file's annotations, and how many records it holds in all, broken ones included."""
    where, problems = tree.where(name), reading.problems
    split = (reading.pipeline.split_of(name) if reading.pipeline else "") or split_of_file(name)
    annotations, records, before = [], 0, problems.skipped
    path = _on_disk(tree, name, reading)
    with path.open("rb") as file:
        for number, (offset, payload) in enumerate(read_frames(file, where, problems)):
            records += 1
            here = f"{where}: record {number}"
            try:
                image = RecordImage(path, offset, len(payload), here)
                annotations.append(_annotation(decode_example(payload), image, split, reading))
            except BrokenExample as broken:
                problems.skip(broken.reason, here)
    if not records and problems.skipped > before and path.stat().st_size:
        raise DataError(f"'{where}' is no TFRecord, or damaged from its start. Copy or make it again.")
    return annotations, records


def _on_disk(tree: FileTree, name: str, reading: Reading) -> Path:
    """Return a plain file of the records: the user's own where it is one, else a copy in the scratch folder."""
    where = tree.where(name)
    own = tree.root / name if isinstance(tree, FolderTree) else None
    copy = reading.scratch / f"{len(list(reading.scratch.iterdir()))}.record"
    if own is None:
        try:
            own = copy.with_suffix(".packed")
            own.write_bytes(tree.read(name, MAX_ARCHIVED_BYTES))
        except UnreadableFile as error:
            raise DataError(f"'{where}' cannot be read: {error.reason}. Unpack the archive.") from None
    with own.open("rb") as file:
        start = file.read(12)
        if is_framed(start) or not is_compressed(start):
            return own
        file.seek(0)
        unpack(file, copy, where, reading.problems)
    return copy


def _annotation(features: Mapping[str, Values], image: RecordImage, split: str, reading: Reading) -> Annotation:
    """Read one record; raise BrokenExample where it lacks its image or its lists disagree."""
    encoded = features.get("image/encoded", ())
    if len(encoded) != 1 or not isinstance(encoded[0], bytes):
        raise BrokenExample("record has no image/encoded")
    columns = [numbers(features, corner) for corner in _CORNERS]
    count = len(columns[0])
    if any(len(column) != count for column in columns):
        raise BrokenExample("record has box arrays of unequal lengths")
    names = _class_names(features, count, image.where, reading)
    # Open Images says group_of where COCO says is_crowd.
    flags = [_flags(features, f"image/object/{flag}", count) for flag in ("difficult", "is_crowd", "group_of")]
    boxes = [
        Box(name, (ymin, xmin, ymax, xmax), bool(difficult), bool(crowd or group))
        for name, ymin, xmin, ymax, xmax, difficult, crowd, group in zip(names, *columns, *flags, strict=True)
        if name is not None
    ]
    file_name = _first_text(features, "image/filename")
    source = _first_text(features, "image/source_id") or file_name
    size = _declared_size(features)
    return Annotation(image, file_name or image.where, boxes, True, image.where, size, split, source)


def _class_names(features: Mapping[str, Values], count: int, where: str, reading: Reading) -> list[str | None]:
    """Return each box's class, None where the label map has none such. The text counts more than the number."""
    words, labels = texts(features, "image/object/class/text"), integers(features, "image/object/class/label")
    if not words and not labels and count:
        raise BrokenExample("record has boxes without classes")
    if any(len(column) not in (0, count) for column in (words, labels)):
        raise BrokenExample("record has box arrays of unequal lengths")
    return [
        _class_name(words[place] if words else "", labels[place] if labels else None, where, reading)
        for place in range(count)
    ]


def _class_name(word: str, number: int | None, where: str, reading: Reading) -> str | None:
    label_map = reading.label_map
    if label_map is None:
        return word or str(number)
    known = label_map.numbers.get(word) if word else number
    name = label_map.names.get(known) if known is not None else None
    if name is None:
        reading.problems.skip("class is not in the label map", f"{where}: {printable(word) or number}")
    return name


def _flags(features: Mapping[str, Values], name: str, count: int) -> Sequence[int]:
    flags = integers(features, name)
    if len(flags) not in (0, count):
        raise BrokenExample("record has box arrays of unequal lengths")
    return flags or (0,) * count


def _first_text(features: Mapping[str, Values], name: str) -> str:
    return next(iter(texts(features, name)), "")


def _declared_size(features: Mapping[str, Values]) -> tuple[int, int] | None:
    height, width = (next(iter(integers(features, f"image/{side}")), 0) for side in ("height", "width"))
    return (height, width) if min(height, width) >= 1 else None


TFRECORD = Format("tfrecord", "TFRecord", _find, _read)
