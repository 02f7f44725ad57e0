"""COCO: one JSON file for many images; boxes are (x, y, width, height) in pixels, ids anything from 0."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from trainbox.data.files import FileReference, FileTree, UnreadableFile
from trainbox.data.text import UnreadableText, parse_json
from trainbox.errors import DataError
from trainbox.tasks.detect.formats.annotation import Annotation, AnnotationSet, Box, Format, Reading, first_repeated
from trainbox.tasks.detect.formats.splits import split_of_file

MAX_BYTES = 2 << 30
FILES_LOOKED_AT = 50
_SECTIONS = ("images", "annotations", "categories")


def _find(tree: FileTree) -> list[str]:
    """Return the JSON files that hold the three sections."""
    # A set has a few large files; thousands of small ones are something else, and not worth opening.
    names = sorted(
        (name for name in tree.names() if name.lower().endswith(".json")), key=lambda name: -(tree.size(name) or 0)
    )
    return sorted(name for name in names[:FILES_LOOKED_AT] if _looks_like_coco(tree, name))


def _looks_like_coco(tree: FileTree, name: str) -> bool:
    try:
        content = tree.read(name, MAX_BYTES)
    except UnreadableFile:
        return False
    return all(f'"{section}"'.encode() in content for section in _SECTIONS)


def _read(tree: FileTree, names: Sequence[str], reading: Reading) -> AnnotationSet:
    annotations: list[Annotation] = []
    labels: dict[str, tuple[str, ...]] = {}
    for name in names:
        content = _load(tree, name)
        labels[tree.where(name)], numbers = _categories(content, tree.where(name))
        annotations += _of_images(content, numbers, FileReference(tree, name), reading)
    first, *others = labels
    for other in others:
        if labels[other] != labels[first]:
            raise DataError(f"'{first}' and '{other}' have different categories. Give all files the same ones.")
    return AnnotationSet(annotations, labels[first])


def _load(tree: FileTree, name: str) -> Mapping[str, Any]:
    try:
        content, _ = parse_json(tree.read(name, MAX_BYTES))
    except (UnreadableFile, UnreadableText) as error:
        raise DataError(f"'{tree.where(name)}' cannot be read as COCO annotations: it {error.reason}.") from None
    if not isinstance(content, dict) or not all(isinstance(content.get(section), list) for section in _SECTIONS):
        raise DataError(
            f"'{tree.where(name)}' is no COCO file. It needs the lists 'images', 'annotations', 'categories'."
        )
    for section in _SECTIONS:
        _refuse_repeated(content[section], section, tree.where(name))
    return content


def _refuse_repeated(entries: Sequence[Any], section: str, where: str) -> None:
    seen = set()
    for entry in entries:
        number = entry.get("id") if isinstance(entry, dict) else None
        if isinstance(number, int | str) and number in seen:
            raise DataError(f"'{where}' has the id {number} twice in '{section}'. Ids must be unique.")
        seen.add(number if isinstance(number, int | str) else None)


def _categories(content: Mapping[str, Any], where: str) -> tuple[tuple[str, ...], dict[Any, str]]:
    """Return the class names in order of their ids, and the name of each id."""
    entries = [entry for entry in content["categories"] if isinstance(entry, dict) and "id" in entry]
    try:
        entries.sort(key=lambda entry: int(entry["id"]))
    except (TypeError, ValueError, OverflowError):
        raise DataError(f"'{where}' has a category whose id is no number. Number them from 0 or 1.") from None
    used = {str(entry.get("category_id")) for entry in content["annotations"] if isinstance(entry, dict)}
    parents = {str(entry.get("supercategory")) for entry in entries}
    # Roboflow writes a category 0 that only groups the others and has no boxes.
    group = 0 if "0" not in used else None
    kept = [entry for entry in entries if not (entry["id"] == group and str(entry.get("name")) in parents)]
    names = [str(entry.get("name", entry["id"])) for entry in (kept or entries)]
    if not names:
        raise DataError(f"'{where}' has no categories.")
    repeated = first_repeated(names)
    if repeated is not None:
        raise DataError(f"'{where}' has two categories named '{repeated}'. Each name may have one id.")
    return tuple(names), {entry["id"]: name for entry, name in zip(kept or entries, names, strict=True)}


def _of_images(
    content: Mapping[str, Any], names: Mapping[Any, str], file: FileReference, reading: Reading
) -> list[Annotation]:
    where = str(file)
    boxes: dict[Any, list[Box]] = {
        image.get("id"): [] for image in content["images"] if isinstance(image, dict) and _is_id(image.get("id"))
    }
    for entry in content["annotations"]:
        _take_box(entry, boxes, names, where, reading)
    split = split_of_file(file.name)
    annotations = []
    for entry in content["images"]:
        image = reading.index.find(str(entry["file_name"]), file) if _names_a_file(entry) else None
        if image is None:
            said = entry.get("file_name", entry.get("id")) if isinstance(entry, dict) else entry
            reading.problems.skip("annotated image is missing", f"{where}: {said}")
            continue
        annotations.append(
            Annotation(
                image, str(entry["file_name"]), boxes[entry["id"]], False, f"{where}: image {entry['id']}",
                _declared_size(entry), split, str(entry["id"]),
            )
        )  # fmt: skip
    return annotations


def _take_box(
    entry: Any, boxes: Mapping[Any, list[Box]], names: Mapping[Any, str], where: str, reading: Reading
) -> None:
    """Put one annotation's box with its image, or count why it is left out."""
    problems = reading.problems
    if not isinstance(entry, dict):
        problems.skip("annotation is no JSON object", where)
        return
    here = f"{where}: annotation {entry.get('id')}"
    image, category = entry.get("image_id"), entry.get("category_id")
    if not _is_id(image) or image not in boxes:
        problems.skip("annotation of an image that is not listed", here)
    elif not _is_id(category) or category not in names:
        problems.skip("annotation of a category that is not listed", here)
    elif (corners := _corners(entry.get("bbox"))) is None:
        problems.skip("annotation has no box of four numbers", here)
    else:
        boxes[image].append(Box(names[category], corners, crowd=bool(entry.get("iscrowd"))))


def _corners(box: Any) -> tuple[float, float, float, float] | None:
    if not isinstance(box, list) or len(box) != 4:
        return None
    try:
        x, y, width, height = (float(value) if isinstance(value, int | float) else math.nan for value in box)
    except OverflowError:
        return None
    if not all(map(math.isfinite, (x, y, width, height))):
        return None
    return y, x, y + height, x + width


def _declared_size(entry: Mapping[str, Any]) -> tuple[int, int] | None:
    height, width = entry.get("height"), entry.get("width")
    usable = isinstance(height, int) and isinstance(width, int) and height > 0 and width > 0
    return (height, width) if usable else None  # type: ignore[return-value]


def _names_a_file(entry: Any) -> bool:
    return isinstance(entry, dict) and _is_id(entry.get("id")) and isinstance(entry.get("file_name"), str)


def _is_id(value: Any) -> bool:
    return isinstance(value, int | str)


COCO = Format("coco", "COCO", _find, _read)
