"""YOLO: ``data.yaml`` names classes and folders; a text file an image has class, centre and size as fractions."""

import math
import posixpath
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from trainbox.data.files import FileReference, FileTree, UnreadableFile
from trainbox.data.problems import Problems
from trainbox.data.text import decode_text
from trainbox.errors import DataError
from trainbox.tasks.detect.formats.annotation import Annotation, AnnotationSet, Box, Format, Reading, first_repeated
from trainbox.tasks.detect.formats.splits import TEST, TRAIN, VALIDATION, split_of_folder
from trainbox.tasks.detect.formats.strict_yaml import parse_yaml

_SPLIT_KEYS = {"train": TRAIN, "val": VALIDATION, "valid": VALIDATION, "validation": VALIDATION, "test": TEST}
# What labelling tools write instead of data.yaml: a class a line.
_CLASS_LISTS = ("classes.txt", "obj.names")


def _find(tree: FileTree) -> list[str]:
    """Return the description of the data: a data.yaml, else a list of classes beside a folder of labels."""
    names = tree.names()
    described = [name for name in names if name.lower().endswith((".yaml", ".yml")) and _describes(tree, name)]
    return described or [name for name in names if posixpath.basename(name) in _CLASS_LISTS]


def _describes(tree: FileTree, name: str) -> bool:
    try:
        lines = decode_text(tree.read(name)).splitlines()
    except UnreadableFile:
        return False
    keys = {line.split(":")[0].strip("\"' ") for line in lines if ":" in line}
    return "names" in keys and bool(keys & set(_SPLIT_KEYS))


def _read(tree: FileTree, names: Sequence[str], reading: Reading) -> AnnotationSet:
    if len(names) > 1:
        raise DataError(f"Several YOLO descriptions. Received: {', '.join(map(tree.where, names))}. Give one of them.")
    name = names[0]
    labels, splits = _description(tree, name, reading)
    annotations = []
    for image in reading.index.images:
        split = _split(image.name, splits) if image.tree is tree else None
        if split is not None:
            annotations.append(_annotation(image, labels, split, reading))
    if not annotations:
        named = ", ".join(list(splits)[:3]) or "nothing that is there"
        raise DataError(f"'{tree.where(name)}' leads to no image. Received: {named}. Paths are read beside the file.")
    return AnnotationSet(annotations, labels)


def _description(tree: FileTree, name: str, reading: Reading) -> tuple[tuple[str, ...], Mapping[str, str]]:
    """Return the class names, and the split of each folder or image that the description names."""
    where, folder = tree.where(name), posixpath.dirname(name)
    try:
        content = tree.read(name)
    except UnreadableFile as error:
        raise DataError(f"'{where}' cannot be read: {error.reason}.") from None
    if posixpath.basename(name) in _CLASS_LISTS:
        lines = [line.strip() for line in decode_text(content).splitlines()]
        return _distinct([line for line in lines if line], where), {folder: ""}
    description = parse_yaml(content, where)
    if "download" in description:
        reading.problems.warn("'download' in a YOLO description is not followed", where)
    splits: dict[str, str] = {}
    for key, split in _SPLIT_KEYS.items():
        for path in _texts(description.get(key)):
            for place in _below(tree, folder, _text(description.get("path")), path, reading):
                splits.setdefault(place, split)
    return _labels(description, where), splits


def _labels(description: Mapping[str, Any], where: str) -> tuple[str, ...]:
    names = description.get("names")
    if isinstance(names, dict):
        numbers = sorted(names, key=lambda number: number if isinstance(number, int) else -1)
        if numbers != list(range(len(names))):
            raise DataError(f"'{where}' numbers its names with a gap. Received: {numbers[:20]}. Number them from 0.")
        names = [names[number] for number in numbers]
    if not isinstance(names, list) or not names:
        raise DataError(f"'{where}' names no classes. Write: names: [cat, dog].")
    count = description.get("nc", len(names))
    if count != len(names):
        raise DataError(f"'{where}' says nc: {count} and names {len(names)} classes. Make them agree.")
    return _distinct([str(name) for name in names], where)


def _distinct(names: Sequence[str], where: str) -> tuple[str, ...]:
    repeated = first_repeated(names)
    if repeated is not None or not names:
        raise DataError(f"'{where}' names no class or '{repeated}' twice. Each name may stand once.")
    return tuple(names)


def _below(tree: FileTree, folder: str, base: str, path: str, reading: Reading) -> list[str]:
    """Return the names in the tree that a path means: a folder, or the images that a list file names.

    Written paths are of the machine where the file was made, so the longest end of one that is there is taken.
    """
    for start in (posixpath.join(folder, base), folder, ""):
        for rest in _ends(path):
            place = posixpath.normpath(posixpath.join(start, rest)).removeprefix("/")
            place = "" if place == "." else place
            if place.startswith(".."):
                continue
            if tree.size(place) is not None and place.endswith(".txt"):
                return _listed(tree, place, reading)
            if tree.size(place) is not None or any(name.startswith(place + "/") for name in tree.names()):
                return [place]
    reading.problems.skip("folder of a YOLO description is missing", f"{tree.label}: {path}")
    return []


def _ends(path: str) -> Iterator[str]:
    parts = [part for part in path.replace("\\", "/").split("/") if part not in ("", ".")]
    if not parts:
        yield "."
    for first in range(len(parts)):
        yield "/".join(parts[first:])


def _listed(tree: FileTree, name: str, reading: Reading) -> list[str]:
    try:
        lines = decode_text(tree.read(name)).splitlines()
    except UnreadableFile as error:
        reading.problems.skip(error.reason, tree.where(name))
        return []
    found = []
    for line in filter(None, map(str.strip, lines)):
        image = reading.index.find(line, FileReference(tree, name))
        if image is None:
            reading.problems.skip("listed image is missing", f"{tree.where(name)}: {line}")
        else:
            found.append(image.name)
    return found


def _split(name: str, splits: Mapping[str, str]) -> str | None:
    """Return the split of an image: its own, else that of the innermost folder that has one, else None.

    The split "" stands for whatever the folders of the image say.
    """
    place = name
    while place not in splits and place:
        place = place.rpartition("/")[0]
    return splits[place] or split_of_folder(name) if place in splits else None


def _annotation(image: FileReference, labels: Sequence[str], split: str, reading: Reading) -> Annotation:
    tree, name = image.tree, _label_name(image.name)
    found = next(
        (place for place in (name, posixpath.splitext(image.name)[0] + ".txt") if tree.size(place) is not None), None
    )
    boxes: list[Box] = []
    if found is None:
        reading.problems.warn("image without a label file is background", str(image))
    else:
        boxes = _boxes(tree, found, labels, reading.problems)
    where = tree.where(found) if found else str(image)
    return Annotation(image, posixpath.basename(image.name), boxes, True, where, split=split, source_id=image.name)


def _label_name(name: str) -> str:
    """Return where an image's labels lie: ``labels`` for the last ``images`` of its folders, ``.txt`` its ending."""
    parts = posixpath.splitext(name)[0].split("/")
    places = [place for place, part in enumerate(parts[:-1]) if part == "images"]
    if places:
        parts[places[-1]] = "labels"
    return "/".join(parts) + ".txt"


def _boxes(tree: FileTree, name: str, labels: Sequence[str], problems: Problems) -> list[Box]:
    try:
        lines = decode_text(tree.read(name)).splitlines()
    except UnreadableFile as error:
        problems.skip(error.reason, tree.where(name))
        return []
    boxes = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        where = f"{tree.where(name)}, line {number}"
        if (box := _box(line, labels, where, problems)) is not None:
            boxes.append(box)
    return boxes


def _box(line: str, labels: Sequence[str], where: str, problems: Problems) -> Box | None:
    words = line.split()
    try:
        index, values = int(words[0].removesuffix(".0")), [float(word) for word in words[1:]]
    except ValueError:
        comma = "," in line
        problems.skip("label line has a decimal comma" if comma else "label line has what is no number", where)
        return None
    if not 0 <= index < len(labels):
        raise DataError(f"'{where}' names class {index}. Received: {len(labels)} classes, numbered from 0.")
    if not all(map(math.isfinite, values)):
        problems.skip("label line has what is no number", where)
        return None
    if len(values) == 4:
        x, y, width, height = values
        return Box(labels[index], (y - height / 2, x - width / 2, y + height / 2, x + width / 2))
    if len(values) >= 6 and len(values) % 2 == 0:
        # The outline of a segment: its box is what is trained on.
        return Box(labels[index], (min(values[1::2]), min(values[::2]), max(values[1::2]), max(values[::2])))
    problems.skip("label line has the wrong number of columns", where)
    return None


def _texts(value: Any) -> list[str]:
    entries = value if isinstance(value, list) else [value]
    return [entry for entry in entries if isinstance(entry, str)]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


YOLO = Format("yolo", "YOLO", _find, _read)
