"""Small data sets, written as their tools write them, and broken where a test asks for it."""

import io
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from trainbox.data.problems import Problems
from trainbox.tasks.detect.dataset import DetectionData, read_dataset
from trainbox.tasks.detect.formats.framing import frame
from trainbox.tasks.detect.formats.tf_example import encode_example

HEIGHT, WIDTH = 60, 80


def picture(seed: int = 0, height: int = HEIGHT, width: int = WIDTH, kind: str = "JPEG", orientation: int = 1) -> bytes:
    """Return an encoded picture of ``height`` x ``width`` as stored; seeds differ in every byte."""
    pixels = np.random.default_rng(seed).integers(0, 255, (height // 4 + 1, width // 4 + 1, 3), np.uint8)
    image = Image.fromarray(pixels).resize((width, height))
    exif = Image.Exif()
    exif[0x0112] = orientation
    buffer = io.BytesIO()
    image.save(buffer, format=kind, exif=exif)
    return buffer.getvalue()


def put(path: Path, content: bytes | str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def voc_object(name: str = "cat", box: Sequence[object] = (10, 10, 40, 40), difficult: int = 0) -> str:
    """``box`` is (xmin, ymin, xmax, ymax), as VOC writes it."""
    corners = zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)
    inner = "".join(f"<{corner}>{value}</{corner}>" for corner, value in corners)
    return f"<object><name>{name}</name><difficult>{difficult}</difficult><bndbox>{inner}</bndbox></object>"


def voc_xml(file_name: str, objects: str = "", height: int = HEIGHT, width: int = WIDTH, before: str = "") -> str:
    size = f"<size><width>{width}</width><height>{height}</height><depth>3</depth></size>"
    return f"{before}<annotation><filename>{file_name}</filename>{size}{objects}</annotation>"


def voc(folder: Path, count: int = 4) -> Path:
    """Write ``count`` images, each with one cat."""
    for number in range(count):
        put(folder / f"JPEGImages/{number}.jpg", picture(number))
        put(folder / f"Annotations/{number}.xml", voc_xml(f"{number}.jpg", voc_object()))
    return folder


def coco(folder: Path, change: Callable[[dict[str, Any]], None] = lambda content: None) -> Path:
    """Write three images, two cats and a dog; ids start at 0; ``change`` edits the JSON."""
    for number in range(3):
        put(folder / f"images/{number}.jpg", picture(number))
    content: dict[str, Any] = {
        "images": [
            {"id": number, "file_name": f"{number}.jpg", "height": HEIGHT, "width": WIDTH} for number in range(3)
        ],
        "annotations": [
            {"id": number, "image_id": number, "category_id": (3, 3, 0)[number], "bbox": [8, 6, 16, 30], "iscrowd": 0}
            for number in range(3)
        ],
        "categories": [{"id": 3, "name": "cat"}, {"id": 0, "name": "dog"}],
    }
    change(content)
    put(folder / "instances.json", json.dumps(content))
    return folder


def yolo(folder: Path, labels: Mapping[str, str] | None = None, yaml: str | None = None) -> Path:
    """Write one image for each label file: by default a cat to train on, and a dog to validate on."""
    labels = {"train/a": "0 0.5 0.5 0.25 0.5\n", "val/b": "1 0.5 0.5 0.2 0.2\n"} if labels is None else labels
    for number, (name, text) in enumerate(labels.items()):
        put(folder / f"images/{name}.jpg", picture(number))
        put(folder / f"labels/{name}.txt", text)
    put(folder / "data.yaml", yaml or "train: images/train\nval: images/val\nnc: 2\nnames: [cat, dog]\n")
    return folder


def features(number: int = 0, **changes: Any) -> dict[str, Any]:
    """Return the features of a record with one cat; ``changes`` replace them (None takes away), by their last word."""
    values: dict[str, Any] = {
        "image/encoded": [picture(number)],
        "image/filename": [f"{number}.jpg".encode()],
        "image/height": [HEIGHT],
        "image/width": [WIDTH],
        "image/object/bbox/ymin": [0.25],
        "image/object/bbox/xmin": [0.125],
        "image/object/bbox/ymax": [0.5],
        "image/object/bbox/xmax": [0.75],
        "image/object/class/text": [b"cat"],
        "image/object/class/label": [1],
    }
    for word, value in changes.items():
        name = next(name for name in values if name.endswith("/" + word))
        values[name] = value
    return {name: value for name, value in values.items() if value is not None}


def record(number: int = 0, **changes: Any) -> bytes:
    return frame(encode_example(features(number, **changes)))


LABEL_MAP = "item { id: 1 name: 'cat' }\nitem { id: 2 name: 'dog' }\n"


def records(folder: Path, content: bytes | None = None, name: str = "data.record", label_map: str = LABEL_MAP) -> Path:
    put(folder / name, b"".join(record(number) for number in range(4)) if content is None else content)
    if label_map:
        put(folder / "label_map.pbtxt", label_map)
    return folder


@pytest.fixture(scope="session")
def make() -> SimpleNamespace:
    """The writers above, since test modules cannot import one another."""
    return SimpleNamespace(
        picture=picture, put=put, voc=voc, voc_object=voc_object, voc_xml=voc_xml, coco=coco, yolo=yolo,
        features=features, record=record, records=records, height=HEIGHT, width=WIDTH, label_map=LABEL_MAP,
    )  # fmt: skip


@pytest.fixture
def problems() -> Problems:
    return Problems()


@pytest.fixture
def read(tmp_path_factory: pytest.TempPathFactory, problems: Problems) -> Callable[..., DetectionData]:
    """Read data sets with ``problems``."""
    scratch = tmp_path_factory.mktemp("scratch")

    def read_them(*paths: Any, data_format: str | None = None) -> DetectionData:
        return read_dataset(paths, problems, scratch, data_format)

    return read_them


@pytest.fixture
def skips(problems: Problems) -> Callable[[], dict[str, int]]:
    return lambda: {reason: tally.count for reason, tally in problems.skips.items()}


@pytest.fixture
def warnings(problems: Problems) -> Callable[[], dict[str, int]]:
    return lambda: {reason: tally.count for reason, tally in problems.warnings.items()}
