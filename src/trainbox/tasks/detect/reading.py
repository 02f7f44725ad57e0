"""From paths to annotations: which files a path holds, in which format, and what describes them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from trainbox.data.files import FileTree, FolderTree, UnreadableFile
from trainbox.data.problems import Problems
from trainbox.data.text import printable
from trainbox.data.trees import open_trees
from trainbox.errors import DataError
from trainbox.tasks.detect.formats.annotation import AnnotationSet, Format, Reading
from trainbox.tasks.detect.formats.coco import COCO
from trainbox.tasks.detect.formats.csv_table import CSV
from trainbox.tasks.detect.formats.image_index import ImageIndex
from trainbox.tasks.detect.formats.label_map import LabelMap, read_label_map
from trainbox.tasks.detect.formats.pipeline_config import PipelineConfig, read_pipeline_config
from trainbox.tasks.detect.formats.tfrecord import TFRECORD
from trainbox.tasks.detect.formats.voc import VOC
from trainbox.tasks.detect.formats.yolo import YOLO

# Where a source has several, the first is read: TFRecords are what the jobs of old had beside everything else, and
# CSVs are what their tools wrote on the way.
FORMATS = (TFRECORD, COCO, YOLO, VOC, CSV)
_NESTED_ARCHIVE = "archive of a kind that is not read"
_LABEL_ITEM = re.compile(rb"^\s*item\s*:?\s*[{<]", re.MULTILINE)
_PIPELINE_PART = re.compile(rb"^\s*(model|train_config|train_input_reader)\s*:?\s*[{<]", re.MULTILINE)


@dataclass(frozen=True)
class Source:
    """A path to read. ``split`` ("train", "validation", "test") overrules what the data itself says; "" does not."""

    path: Path
    split: str = ""


@dataclass(frozen=True)
class SourceContent:
    """What one source holds in one tree of files. ``pipeline`` is the pipeline.config that lay in any source."""

    label: str
    split: str
    format: Format
    annotations: AnnotationSet
    pipeline: PipelineConfig | None = None


@dataclass(frozen=True)
class _Opened:
    """A source's trees. ``only`` is the one file that the path named, where it named a file."""

    source: Source
    trees: Sequence[FileTree]
    only: str | None = None

    def find(self, form: Format) -> list[tuple[FileTree, list[str]]]:
        found = [(tree, [name for name in form.find(tree) if self.only in (None, name)]) for tree in self.trees]
        return [(tree, names) for tree, names in found if names]


def read_sources(
    sources: Sequence[Source | Path], problems: Problems, scratch: Path, data_format: str | None = None
) -> list[SourceContent]:
    """Read every source; raise DataError where one holds no data set or one that is refused as a whole."""
    opened = [_open(source if isinstance(source, Source) else Source(source), problems) for source in sources]
    trees = [tree for one in opened for tree in one.trees]
    pipeline = find_pipeline_config(trees, problems)
    label_map = find_label_map(trees, pipeline)
    content = []
    for one in opened:
        form, found = _choose(one, data_format, problems)
        reading = Reading(problems, scratch, ImageIndex(one.trees), label_map, pipeline)
        for tree, names in found:
            annotations = form.read(tree, names, reading)
            if annotations.labels is None and label_map is not None:
                annotations = AnnotationSet(annotations.annotations, label_map.labels())
            content.append(SourceContent(tree.label, one.source.split, form, annotations, pipeline))
        _forget_read_archives(problems, [tree.where(name) for tree, names in found for name in names])
    return content


def looks_like_detection(paths: Sequence[Path]) -> bool:
    """Tell by the names and first bytes of files whether there is a detection data set below ``paths``."""
    present = [_open(Source(path), Problems()) for path in paths if path.exists()]
    return any(one.find(form) for one in present for form in FORMATS)


def find_pipeline_config(trees: Sequence[FileTree], problems: Problems) -> PipelineConfig | None:
    """Return the one pipeline.config there is; of several, the one of that name, else none of them, counted."""
    found = {where: content for where, content in _files(trees, (".config",)) if _PIPELINE_PART.search(content)}
    named = [where for where in found if where.endswith("pipeline.config")]
    chosen = named if len(named) == 1 else list(found)
    if len({found[where] for where in chosen}) > 1:
        problems.warn("several pipeline configs: none is used", ", ".join(sorted(chosen)[:3]))
        return None
    return read_pipeline_config(found[chosen[0]], chosen[0]) if chosen else None


def find_label_map(trees: Sequence[FileTree], pipeline: PipelineConfig | None = None) -> LabelMap | None:
    """Return the one label map there is; of several, the one that the pipeline config names. Raise DataError else."""
    found = {where: content for where, content in _files(trees, (".pbtxt", ".pbtext")) if _LABEL_ITEM.search(content)}
    wanted = pipeline.label_map_names if pipeline else ()
    named = [where for where in found if where.endswith(wanted)] if wanted else []
    chosen = named or list(found)
    if len({found[where] for where in chosen}) > 1:
        raise DataError(f"Several label maps. Received: {', '.join(sorted(chosen))}. Keep the one that is meant.")
    return read_label_map(found[chosen[0]], chosen[0]) if chosen else None


def _open(source: Source, problems: Problems) -> _Opened:
    path = source.path
    if path.is_file():
        for form in FORMATS:
            if form.find(_Beside(path)):
                # TFRecords hold their images; the others mean files beside them.
                tree = _Beside(path) if form is TFRECORD else FolderTree(path.parent, problems=problems)
                return _Opened(source, [tree], path.name)
    return _Opened(source, open_trees(path, problems))


class _Beside(FolderTree):
    """A single file, with the label maps and pipeline configs beside it."""

    def __init__(self, path: Path) -> None:
        self.root = path.parent.resolve()
        self.label = printable(self.root.name)
        beside = [entry for ending in ("*.pbtxt", "*.config") for entry in path.parent.glob(ending) if entry.is_file()]
        self._sizes = {entry.name: entry.stat().st_size for entry in (path, *beside)}


def _choose(
    opened: _Opened, data_format: str | None, problems: Problems
) -> tuple[Format, list[tuple[FileTree, list[str]]]]:
    """Return the format to read and its files by tree."""
    path = printable(str(opened.source.path))
    found = {form: files for form in FORMATS if (files := opened.find(form))}
    if data_format is not None:
        found = {form: files for form, files in found.items() if form.name == data_format}
    if not found:
        wanted = f"in the format '{data_format}'" if data_format else f"({', '.join(form.title for form in FORMATS)})"
        raise DataError(f"No detection data set found {wanted}. Received: {path}, {_seen(opened.trees)}.")
    chosen, *others = found
    for other in others:
        count = sum(len(names) for _, names in found[other])
        problems.warn(f"data is there as {other.title} too, and is read as {chosen.title}", path, count)
    return chosen, found[chosen]


def _seen(trees: Sequence[FileTree]) -> str:
    names = [name for tree in trees for name in tree.names()]
    return f"{len(names)} files" + (f" such as {printable(names[0])}" if names else "")


def _files(trees: Sequence[FileTree], endings: tuple[str, ...]) -> list[tuple[str, bytes]]:
    """Return where each file of these endings lies, and its content; those that cannot be read are passed over."""
    found = []
    for tree in trees:
        for name in tree.names():
            if name.lower().endswith(endings):
                try:
                    found.append((tree.where(name), tree.read(name)))
                except UnreadableFile:
                    continue
    return found


def _forget_read_archives(problems: Problems, read: Sequence[str]) -> None:
    """Take back that a file was left out as an archive: a compressed TFRecord is one, and was read."""
    tally = problems.skips.get(_NESTED_ARCHIVE)
    if tally is None:
        return
    taken = [where for where in read if where.lower().endswith(".gz")]
    tally.count -= len(taken)
    tally.examples = [example for example in tally.examples if example not in taken]
    if tally.count <= 0:
        del problems.skips[_NESTED_ARCHIVE]
