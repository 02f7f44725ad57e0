"""Pascal VOC: an XML file an image, boxes in pixels, the split in ``ImageSets/Main``."""

import math
import posixpath
from collections.abc import Sequence
from xml.etree import ElementTree

from trainbox.data.files import FileReference, FileTree, UnreadableFile
from trainbox.data.problems import Problems
from trainbox.data.text import decode_text
from trainbox.tasks.detect.formats.annotation import Annotation, AnnotationSet, Box, Format, Reading
from trainbox.tasks.detect.formats.splits import TEST, TRAIN, VALIDATION, split_of_folder

MAX_BYTES = 16 << 20
_SPLIT_LISTS = {"train.txt": TRAIN, "val.txt": VALIDATION, "test.txt": TEST, "trainval.txt": TRAIN}


class _UnreadableXml(Exception):
    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class _Builder(ElementTree.TreeBuilder):
    """Stops at a document type: entities in it can grow without end or name other files."""

    def doctype(self, name: str, public_id: str | None, system: str | None) -> None:
        raise _UnreadableXml("annotation declares a DOCTYPE")


def _find(tree: FileTree) -> list[str]:
    names = [name for name in tree.names() if name.lower().endswith(".xml")]
    # A folder of annotations is told by one of them; all are read later, and the others counted then.
    return names if any(_is_annotation(tree, name) for name in names[:20]) else []


def _is_annotation(tree: FileTree, name: str) -> bool:
    try:
        return _parse(tree.read(name, MAX_BYTES)).tag == "annotation"
    except UnreadableFile:
        return False
    except _UnreadableXml:
        return "annotation" in posixpath.dirname(name).lower()


def _read(tree: FileTree, names: Sequence[str], reading: Reading) -> AnnotationSet:
    splits = _read_split_lists(tree, reading.problems)
    annotations = []
    for name in names:
        try:
            root = _parse(tree.read(name, MAX_BYTES))
        except (UnreadableFile, _UnreadableXml) as error:
            reading.problems.skip(error.reason, tree.where(name))
            continue
        if root.tag != "annotation":
            reading.problems.skip("XML file is no annotation", tree.where(name))
            continue
        annotation = _annotation(root, FileReference(tree, name), splits, reading)
        if annotation is not None:
            annotations.append(annotation)
    annotated = {str(annotation.image) for annotation in annotations}
    for image in reading.index.images:
        if image.tree is tree and str(image) not in annotated:
            reading.problems.skip("image has no annotation", str(image))
    return AnnotationSet(annotations)


def _annotation(
    root: ElementTree.Element, file: FileReference, splits: dict[str, str], reading: Reading
) -> Annotation | None:
    problems, where = reading.problems, str(file)
    stem = posixpath.splitext(posixpath.basename(file.name))[0]
    written = (root.findtext("filename") or "").strip()
    image = (reading.index.find(written, file) if written else None) or reading.index.find_stem(stem, file)
    if image is None:
        problems.skip("annotated image is missing", where)
        return None
    if splits and stem not in splits:
        problems.warn("annotation is in no list of ImageSets/Main and is used for training", where)
    split = splits.get(stem, TRAIN) if splits else split_of_folder(file.name)
    boxes = [box for element in root.iter("object") if (box := _box(element, where, problems))]
    return Annotation(
        image,
        posixpath.basename(image.name),
        boxes,
        False,
        where,
        _declared_size(root),
        split,
        source_id=written or stem,
    )


def _box(element: ElementTree.Element, where: str, problems: Problems) -> Box | None:
    name = (element.findtext("name") or "").strip()
    if not name:
        problems.skip("box has no class", where)
        return None
    corners = [_number(element.findtext(f"bndbox/{corner}")) for corner in ("ymin", "xmin", "ymax", "xmax")]
    if any(map(math.isnan, corners)):
        problems.skip("box has a coordinate that is no number", where)
        return None
    return Box(
        name, (corners[0], corners[1], corners[2], corners[3]), (element.findtext("difficult") or "").strip() == "1"
    )


def _declared_size(root: ElementTree.Element) -> tuple[int, int] | None:
    height, width = (_number(root.findtext(f"size/{side}")) for side in ("height", "width"))
    # Tools that did not open the image write 0.
    return (int(height), int(width)) if height >= 1 and width >= 1 else None


def _number(text: str | None) -> float:
    try:
        value = float((text or "").strip())
    except ValueError:
        return math.nan
    return value if math.isfinite(value) else math.nan


def _parse(content: bytes) -> ElementTree.Element:
    parser = ElementTree.XMLParser(target=_Builder())  # noqa: S314 (entities need a DOCTYPE, which stops the builder)
    try:
        parser.feed(content)
        root: ElementTree.Element = parser.close()
    except (ElementTree.ParseError, LookupError, ValueError):
        raise _UnreadableXml("annotation is not valid XML") from None
    return root


def _read_split_lists(tree: FileTree, problems: Problems) -> dict[str, str]:
    """Return the split of each image by its name without ending; one that is in several is trained on."""
    splits: dict[str, str] = {}
    for base, split in _SPLIT_LISTS.items():
        for name in tree.names():
            if not name.endswith(f"ImageSets/Main/{base}"):
                continue
            for stem in _stems(tree, name, problems):
                earlier = splits.setdefault(stem, split)
                if earlier != split and base != "trainval.txt":
                    problems.warn("image is in two splits and is used for training", f"{tree.where(name)}: {stem}")
                    splits[stem] = TRAIN
    return splits


def _stems(tree: FileTree, name: str, problems: Problems) -> list[str]:
    try:
        lines = decode_text(tree.read(name)).splitlines()
    except UnreadableFile as error:
        problems.skip(error.reason, tree.where(name))
        return []
    # A line may go on with 1 or -1: whether the class of that list is in the image.
    return [line.split()[0] for line in lines if line.strip()]


VOC = Format("voc", "Pascal VOC", _find, _read)
