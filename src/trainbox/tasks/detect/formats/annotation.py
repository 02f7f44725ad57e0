"""What a format's module says of one image, before its boxes are judged: the same for all formats."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from trainbox.data.cache import ImageSource
from trainbox.data.files import FileTree
from trainbox.data.problems import Problems
from trainbox.tasks.detect.formats.image_index import ImageIndex
from trainbox.tasks.detect.formats.label_map import LabelMap
from trainbox.tasks.detect.formats.pipeline_config import PipelineConfig


@dataclass(frozen=True, slots=True)
class Box:
    """One box as it is written: ``yxyx`` is (ymin, xmin, ymax, xmax), in pixels or as fractions of the image."""

    name: str
    yxyx: tuple[float, float, float, float]
    difficult: bool = False
    crowd: bool = False


@dataclass(frozen=True, slots=True)
class Annotation:
    """The boxes of one image as its annotation has them.

    ``declared_size`` is the image's (height, width) in pixels as the annotation says, None where it does not.
    ``split`` is "train", "validation", "test" or "". ``where`` names the annotation for a person.
    """

    image: ImageSource
    file_name: str
    boxes: Sequence[Box]
    fractions: bool
    where: str
    declared_size: tuple[int, int] | None = None
    split: str = ""
    source_id: str = ""


def first_repeated(names: Sequence[str]) -> str | None:
    """Return the first of ``names`` that stands there more than once, None where each stands once."""
    counts = Counter(names)
    return next((name for name in names if counts[name] > 1), None)


@dataclass(frozen=True)
class AnnotationSet:
    """All annotations of one format in one place. ``labels`` are in order where the data declares it, else None."""

    annotations: Sequence[Annotation]
    labels: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Reading:
    """What a format's module may look at while it reads, besides its own files."""

    problems: Problems
    scratch: Path
    index: ImageIndex
    label_map: LabelMap | None = None
    pipeline: PipelineConfig | None = None


@dataclass(frozen=True)
class Format:
    """A way to write down boxes: ``find`` tells its files in a tree, cheaply; ``read`` reads them."""

    name: str
    title: str
    find: Callable[[FileTree], list[str]]
    read: Callable[[FileTree, Sequence[str], Reading], AnnotationSet]
