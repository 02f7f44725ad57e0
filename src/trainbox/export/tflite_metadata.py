"""What a phone's library reads of a detector's .tflite before it runs it: labels, normalisation, which output is what.

MediaPipe and the Task Library look for a second flatbuffer inside the file (``TFLITE_METADATA``) and for files zipped
to its end. The tables and the numbers of their fields are those of tflite-support's metadata_schema.fbs, version 1.2.
"""

import io
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import flatbuffers

NAME = "TFLITE_METADATA"
LABELS = "labels.txt"
IDENTIFIER = b"M001"
OLDEST_PARSER = "1.2.0"

# Numbers that the schema gives to the kinds of content, of processing and of files, to RGB and to corners of a box.
_FEATURE, _IMAGE, _BOX = 1, 2, 3
_NORMALIZATION = 1
_VALUE_LABELS = 3
_RGB = 1
_BOUNDARIES = 1
_LEFT_TOP_RIGHT_BOTTOM = (1, 0, 3, 2)
"""Where the operator's order, top left bottom right, has the schema's left, top, right and bottom."""


@dataclass(frozen=True)
class Picture:
    """What the file takes: a picture of that size in pixels, its values less ``mean`` and divided by ``deviation``."""

    height: int
    width: int
    mean: float
    deviation: float
    lowest: float
    highest: float


def metadata(name: str, description: str, picture: Picture) -> bytes:
    """Return the flatbuffer that describes a detector which ends in ``TFLite_Detection_PostProcess``."""
    import flatbuffers

    b = flatbuffers.Builder(1024)
    subgraph = _table(b, {2: _vector(b, [_image(b, picture)]), 3: _vector(b, _detections(b)), 8: _group(b)})
    root = _table(
        b,
        {
            0: b.CreateString(name),
            1: b.CreateString(description),
            3: _vector(b, [subgraph]),
            7: b.CreateString(OLDEST_PARSER),
        },
    )
    b.Finish(root, IDENTIFIER)
    return bytes(b.Output())


def with_labels(content: bytes, labels: Sequence[str]) -> bytes:
    """Return a .tflite with its labels zipped to its end, a line each, as phone libraries look for them."""
    file = io.BytesIO(content)
    entry = zipfile.ZipInfo(LABELS, date_time=(1980, 1, 1, 0, 0, 0))  # the same model gives the same bytes
    with zipfile.ZipFile(file, "a", zipfile.ZIP_STORED) as archive:
        archive.writestr(entry, "".join(f"{' '.join(label.split())}\n" for label in labels))
    return file.getvalue()


def labels_of(content: bytes) -> tuple[str, ...]:
    """Return the labels zipped to the end of a .tflite, none where there are none."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return tuple(archive.read(LABELS).decode().splitlines())
    except (zipfile.BadZipFile, KeyError):
        return ()


@dataclass(frozen=True)
class _Number:
    """A field that stands in its table by value: ``kind`` is the word of the builder's method for it."""

    kind: str
    value: float


_Fields = Mapping[int, "int | _Number"]


def _table(b: "flatbuffers.Builder", fields: _Fields) -> int:
    """Write a table of numbers and of things written before, by number of field; return where it stands."""
    b.StartObject(max(fields, default=-1) + 1)
    for number, field in fields.items():
        if isinstance(field, _Number):
            getattr(b, f"Prepend{field.kind}Slot")(number, field.value, 0)
        else:
            b.PrependUOffsetTRelativeSlot(number, field, 0)
    return int(b.EndObject())


def _vector(b: "flatbuffers.Builder", offsets: Sequence[int]) -> int:
    b.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        b.PrependUOffsetTRelative(offset)
    return int(b.EndVector())


def _image(b: "flatbuffers.Builder", picture: Picture) -> int:
    size = _table(b, {0: _Number("Uint32", picture.width), 1: _Number("Uint32", picture.height)})
    content = _content(b, _IMAGE, _table(b, {0: _Number("Int8", _RGB), 1: size}))
    mean, deviation = (_floats(b, value) for value in (picture.mean, picture.deviation))
    options = _table(b, {0: mean, 1: deviation})
    unit = _table(b, {0: _Number("Uint8", _NORMALIZATION), 1: options})
    stats = _table(b, {0: _floats(b, picture.highest), 1: _floats(b, picture.lowest)})
    return _tensor(b, "image", "The picture to look for objects in.", {3: content, 4: _vector(b, [unit]), 5: stats})


def _detections(b: "flatbuffers.Builder") -> list[int]:
    """Write the four outputs, by the names that the libraries look for."""
    corners = b.CreateNumpyVector(np.array(_LEFT_TOP_RIGHT_BOTTOM, np.uint32))
    box = _table(b, {0: corners, 1: _Number("Int8", _BOUNDARIES)})
    each = [_table(b, {0: _Number("Int32", 2), 1: _Number("Int32", 2)}) for _ in range(3)]
    file = _table(b, {0: b.CreateString(LABELS), 1: b.CreateString("Class names."), 2: _Number("Int8", _VALUE_LABELS)})
    return [
        _tensor(b, "location", "Corners of the boxes.", {3: _content(b, _BOX, box, each[0])}),
        _tensor(b, "category", "Classes of the boxes.", {3: _feature(b, each[1]), 6: _vector(b, [file])}),
        _tensor(b, "score", "Scores of the boxes.", {3: _feature(b, each[2])}),
        _tensor(b, "number of detections", "How many there are.", {3: _feature(b)}),
    ]


def _group(b: "flatbuffers.Builder") -> int:
    """Say that location, category and score belong together."""
    names = _vector(b, [b.CreateString(name) for name in ("location", "category", "score")])
    return _vector(b, [_table(b, {0: b.CreateString("detection_result"), 1: names})])


def _tensor(b: "flatbuffers.Builder", name: str, description: str, fields: _Fields) -> int:
    return _table(b, {0: b.CreateString(name), 1: b.CreateString(description), **fields})


def _feature(b: "flatbuffers.Builder", axes: int | None = None) -> int:
    return _content(b, _FEATURE, _table(b, {}), axes)


def _content(b: "flatbuffers.Builder", kind: int, properties: int, axes: int | None = None) -> int:
    fields: dict[int, Any] = {0: _Number("Uint8", kind), 1: properties}
    return _table(b, fields if axes is None else {**fields, 2: axes})


def _floats(b: "flatbuffers.Builder", value: float) -> int:
    return int(b.CreateNumpyVector(np.array([value], np.float32)))
