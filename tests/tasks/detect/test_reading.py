"""Several sources, several formats, nothing at all."""

import subprocess
import sys

import pytest

from trainbox.errors import DataError
from trainbox.tasks.detect.reading import Source, looks_like_detection


def test_reading_loads_no_framework():
    heavy = ("tensorflow", "keras", "jax", "h5py", "matplotlib")
    code = f"import sys, trainbox.tasks.detect.check; print(sorted(set(sys.modules) & set({heavy!r})))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


def test_several_formats_are_said_and_one_is_read(make, read, tmp_path, warnings):
    make.voc(tmp_path)
    make.records(tmp_path, make.record())
    data = read(tmp_path)
    assert data.formats == ("TFRecord",) and len(data.images) == 1
    assert warnings()["data is there as Pascal VOC too, and is read as TFRecord"] == 4


def test_the_format_can_be_chosen(make, read, tmp_path):
    make.voc(tmp_path)
    make.records(tmp_path, make.record())
    assert len(read(tmp_path, data_format="voc").images) == 4
    with pytest.raises(DataError, match="No detection data set found in the format 'coco'"):
        read(tmp_path, data_format="coco")


def test_the_split_of_a_source_overrules_the_data(make, read, tmp_path):
    sources = Source(make.yolo(tmp_path / "a")), Source(make.yolo(tmp_path / "b"), "test")
    assert [image.split for image in read(*sources).images] == ["train", "validation", "test", "test"]


def test_sources_that_declare_different_classes_are_refused(make, read, tmp_path):
    make.yolo(tmp_path / "a")
    make.yolo(tmp_path / "b", yaml="train: images/train\nval: images/val\nnames: [dog, cat]\n")
    with pytest.raises(DataError, match=r"'a' and 'b' declare different classes. Received: cat, dog and dog, cat"):
        read(tmp_path / "a", tmp_path / "b")


def test_names_of_sources_that_declare_nothing_are_united(make, read, tmp_path):
    make.voc(tmp_path / "a")
    make.voc(tmp_path / "b")
    make.put(tmp_path / "b/Annotations/0.xml", make.voc_xml("0.jpg", make.voc_object("ape")))
    data = read(tmp_path / "a", tmp_path / "b")
    assert data.labels == ("ape", "cat") and {number for image in data.images for number in image.classes} == {0, 1}


@pytest.mark.parametrize(
    "files", [{}, {"notes.txt": "x"}, {"a.xml": "<html/>"}, {"record_1.json": '{"user/angle": 0}'}]
)
def test_nothing_to_read_is_refused(make, read, tmp_path, files):
    for name, content in files.items():
        make.put(tmp_path / name, content)
    assert not looks_like_detection([tmp_path])
    with pytest.raises(DataError, match=f"No detection data set found .*{len(files)} files"):
        read(tmp_path)


def test_the_fingerprint_tells_a_changed_box_but_not_a_moved_folder(make, read, tmp_path):
    first = read(make.voc(tmp_path / "a")).fingerprint()
    assert read(make.voc(tmp_path / "b")).fingerprint() == first
    make.put(tmp_path / "b/Annotations/0.xml", make.voc_xml("0.jpg", make.voc_object(box=(10, 10, 41, 40))))
    assert read(tmp_path / "b").fingerprint() != first


@pytest.mark.parametrize("writer", ["voc", "coco", "yolo", "records"])
def test_every_format_is_recognised(make, tmp_path, writer):
    getattr(make, writer)(tmp_path)
    assert looks_like_detection([tmp_path])


def test_users_files_are_left_as_they_are(make, read, tmp_path):
    for writer in ("voc", "coco", "yolo", "records"):
        folder = getattr(make, writer)(tmp_path / writer)
        before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        read(folder)
        assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
