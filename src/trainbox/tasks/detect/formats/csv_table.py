"""The CSV of the TensorFlow detection tutorials: a box a line, its corners in pixels."""

import csv
import io
import math
import posixpath
from collections.abc import Mapping, Sequence

from trainbox.data.files import FileReference, FileTree, UnreadableFile
from trainbox.data.problems import Problems
from trainbox.data.text import decode_text
from trainbox.errors import DataError
from trainbox.tasks.detect.formats.annotation import Annotation, AnnotationSet, Box, Format, Reading
from trainbox.tasks.detect.formats.splits import split_of_file

MAX_BYTES = 1 << 30
_CORNERS = ("ymin", "xmin", "ymax", "xmax")
_CLASS_NAMES = ("class", "label")
_IMAGE_NAMES = ("filename", "image", "image_path")


def _find(tree: FileTree) -> list[str]:
    return [name for name in tree.names() if name.lower().endswith(".csv") and _looks_like_boxes(tree, name)]


def _looks_like_boxes(tree: FileTree, name: str) -> bool:
    try:
        head = decode_text(tree.read(name, MAX_BYTES)[:4096]).splitlines()
    except UnreadableFile:
        return False
    return bool(head) and set(_CORNERS) <= set(_columns(head[0]))


def _read(tree: FileTree, names: Sequence[str], reading: Reading) -> AnnotationSet:
    kept = _without_copies(tree, names, reading.problems)
    annotations: list[Annotation] = []
    for name in kept:
        annotations += _read_table(FileReference(tree, name), reading)
    annotated = {str(annotation.image) for annotation in annotations}
    for image in reading.index.images:
        if image.tree is tree and str(image) not in annotated:
            reading.problems.skip("image has no annotation", str(image))
    return AnnotationSet(annotations)


def _without_copies(tree: FileTree, names: Sequence[str], problems: Problems) -> list[str]:
    """Leave out tables whose name says no split where others say one: tutorials write one for all, then split it."""
    split = [name for name in names if split_of_file(name)]
    if split and len(split) < len(names):
        for name in set(names) - set(split):
            problems.skip("CSV without a split beside CSVs with one", tree.where(name))
        return split
    return list(names)


def _read_table(file: FileReference, reading: Reading) -> list[Annotation]:
    where = str(file)
    rows: dict[str, list[tuple[int, dict[str, str]]]] = {}
    for number, row in _rows(file, reading.problems):
        rows.setdefault(row["filename"], []).append((number, row))
    annotations = []
    for written, lines in rows.items():
        image = reading.index.find(written, file)
        if image is None:
            reading.problems.skip("annotated image is missing", f"{where}: {written}")
            continue
        boxes = [box for number, row in lines if (box := _box(row, f"{where}, line {number}", reading.problems))]
        annotations.append(
            Annotation(
                image, posixpath.basename(image.name), boxes, False, f"{where}, line {lines[0][0]}",
                _declared_size(lines[0][1]), split_of_file(file.name), written,
            )
        )  # fmt: skip
    return annotations


def _rows(file: FileReference, problems: Problems) -> list[tuple[int, dict[str, str]]]:
    """Return the line number and the values, by column, of each row of the right width."""
    where = str(file)
    try:
        text = decode_text(file.tree.read(file.name, MAX_BYTES))
    except UnreadableFile as error:
        raise DataError(f"'{where}' cannot be read: {error.reason}.") from None
    head = text.split("\n", 1)[0]
    columns = _columns(head)
    reader = csv.reader(io.StringIO(text), delimiter=_delimiter(head))
    rows = []
    next(reader)
    try:
        for values in reader:
            if not values:
                continue
            if len(values) != len(columns):
                problems.skip("CSV line has the wrong number of columns", f"{where}, line {reader.line_num}")
            else:
                rows.append((reader.line_num, dict(zip(columns, map(str.strip, values), strict=True))))
    except csv.Error:
        problems.skip("CSV is damaged", f"{where}, line {reader.line_num}: the rest is not read")
    if not {"filename", "class"} <= set(columns):
        raise DataError(f"'{where}' has no column 'filename' or 'class'. Received: {', '.join(columns)}.")
    return rows


def _box(row: Mapping[str, str], where: str, problems: Problems) -> Box | None:
    written = [row[corner] for corner in _CORNERS]
    if not any(written):
        # An image without a box: background.
        return None
    corners = [_number(text) for text in written]
    if any(map(math.isnan, corners)):
        comma = any("," in text for text in written)
        problems.skip("CSV line has a decimal comma" if comma else "box has a coordinate that is no number", where)
        return None
    if not row["class"]:
        problems.skip("box has no class", where)
        return None
    return Box(row["class"], (corners[0], corners[1], corners[2], corners[3]))


def _columns(head: str) -> list[str]:
    names = [name.strip().strip('"').lower() for name in head.strip("\r\ufeff").split(_delimiter(head))]
    meant = {**dict.fromkeys(_CLASS_NAMES, "class"), **dict.fromkeys(_IMAGE_NAMES, "filename")}
    return [meant.get(name, name) for name in names]


def _delimiter(head: str) -> str:
    return max((",", ";", "\t"), key=head.count)


def _declared_size(row: Mapping[str, str]) -> tuple[int, int] | None:
    height, width = _number(row.get("height", "")), _number(row.get("width", ""))
    return (int(height), int(width)) if height >= 1 and width >= 1 else None


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        return math.nan
    return value if math.isfinite(value) else math.nan


CSV = Format("csv", "CSV", _find, _read)
