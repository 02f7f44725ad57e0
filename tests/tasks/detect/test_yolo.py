"""YOLO folders."""

import numpy as np
import pytest

from trainbox.errors import DataError


def test_reads_splits_and_boxes(make, read, tmp_path, skips, warnings):
    data = read(make.yolo(tmp_path))
    assert data.labels == ("cat", "dog")
    assert [(image.split, image.classes.tolist()) for image in data.images] == [("train", [0]), ("validation", [1])]
    np.testing.assert_allclose(data.images[0].boxes_yxyx, [[0.25, 0.375, 0.75, 0.625]], rtol=1e-6)
    assert skips() == {} and warnings() == {}


def test_empty_file_is_background_and_so_is_none(make, read, tmp_path, warnings):
    make.yolo(tmp_path, {"train/a": "0 0.5 0.5 0.25 0.5\n", "train/b": "", "val/c": "\n \n"})
    make.put(tmp_path / "images/train/d.jpg", make.picture(7))
    data = read(tmp_path)
    assert [len(image.classes) for image in data.images] == [1, 0, 0, 0]
    assert warnings() == {"class has no box": 1, "image without a label file is background": 1}


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("0 0.5 0.5 0.25", "label line has the wrong number of columns"),
        ("0 0.5 0.5 0.25 0.5 0.9", "label line has the wrong number of columns"),
        ("0", "label line has the wrong number of columns"),
        ("0 0,5 0,5 0,25 0,5", "label line has a decimal comma"),
        ("cat 0.5 0.5 0.25 0.5", "label line has what is no number"),
        ("0 0.5 nan 0.25 0.5", "label line has what is no number"),
        ("0 0.5 1e999 0.25 0.5", "label line has what is no number"),
        ("0 240 120 50 50", "box lies beyond the image"),
        ("0 0.9 0.5 0.23 0.5", "box lies beyond the image"),
        ("0 1.3 0.5 0.1 0.1", "box lies beyond the image"),
        ("0 0.5 0.5 0 0.5", "box has no area"),
        ("0 0.5 0.5 -0.2 0.5", "box has no area"),
        ("0 1.005 0.5 0.01 0.1", "box has no area within the image"),
    ],
)
def test_unusable_line_costs_itself(make, read, tmp_path, skips, problems, line, reason):
    data = read(make.yolo(tmp_path, {"train/a": f"1 0.5 0.5 0.2 0.2\n{line}\n", "val/b": "0 0.5 0.5 0.2 0.2"}))
    assert [image.classes.tolist() for image in data.images] == [[1], [0]]
    assert skips() == {reason: 1}
    assert "a.txt" in problems.skips[reason].examples[0]


def test_a_little_beyond_the_edge_is_rounding(make, read, tmp_path, skips):
    data = read(make.yolo(tmp_path, {"train/a": "0 0.9 0.5 0.205 0.5\n", "val/b": "1 0.5 0.5 0.2 0.2"}))
    assert data.images[0].boxes_yxyx[0, 3] == 1 and skips() == {}


@pytest.mark.parametrize("line", ["2 0.5 0.5 0.1 0.1", "-1 0.5 0.5 0.1 0.1"])
def test_class_beyond_the_names_is_refused(make, read, tmp_path, line):
    with pytest.raises(DataError, match=r"a.txt, line 1' names class (2|-1). Received: 2 classes"):
        read(make.yolo(tmp_path, {"train/a": line, "val/b": ""}))


def test_outline_of_a_segment_gives_its_box(make, read, tmp_path):
    make.yolo(tmp_path, {"train/a": "0 0.1 0.2 0.5 0.3 0.4 0.8\n", "val/b": "1 0.5 0.5 0.2 0.2"})
    np.testing.assert_allclose(read(tmp_path).images[0].boxes_yxyx, [[0.2, 0.1, 0.8, 0.5]], rtol=1e-6)


@pytest.mark.parametrize(
    "yaml",
    [
        "path: /home/me/datasets/pets\ntrain: images/train\nval: images/val\nnames:\n  0: cat\n  1: dog\n",
        "train: ../images/train\nval: ../images/val\nnames: ['cat', 'dog']\nnc: 2\n",
        "path: .\ntrain: [images/train]\nval: /content/pets/images/val\nnames: [cat, dog]\n",
        "train: train.txt\nval: val.txt\nnames: [cat, dog]\n",
    ],
)
def test_paths_are_read_beside_the_file_whatever_machine_they_are_of(make, read, tmp_path, yaml):
    make.put(tmp_path / "train.txt", "./images/train/a.jpg\n")
    make.put(tmp_path / "val.txt", "/content/pets/images/val/b.jpg\n")
    data = read(make.yolo(tmp_path, yaml=yaml))
    assert data.labels == ("cat", "dog") and [image.split for image in data.images] == ["train", "validation"]


@pytest.mark.parametrize(
    ("yaml", "said"),
    [
        ("train: images/train\nnames: !!python/object/apply:os.system ['true']\n", "uses the tag"),
        ("train: images/train\nnames: !include names.txt\n", "uses the tag"),
        ("train: images/train\na: &a [x, x]\nnames: [*a, *a]\n", "uses an alias in line 3"),
        ("train: images/train\nnames: " + "[" * 40 + "]" * 40, "nests more than 32 deep"),
        ("train: images/train\nnames: [cat, dog\n", "cannot be read as YAML"),
        ("train: images/train\nnames: [cat]\nnames: [dog]\n", "the key 'names' stands twice"),
        ("train: images/train\nnc: 3\nnames: [cat, dog]\n", "says nc: 3 and names 2 classes"),
        ("train: images/train\nnames: {0: cat, 2: dog}\n", "numbers its names with a gap"),
        ("train: images/train\nnames: [cat, cat]\n", "'cat' twice"),
        ("train: images/train\nnames: []\n", "names no classes"),
        ("train: 2020-99-99\nnames: [cat]\n", "cannot be read as YAML"),
        ("train: nowhere\nnames: [cat, dog]\n", "leads to no image"),
        ("train: ../../../../etc\nnames: [cat, dog]\n", "leads to no image"),
    ],
)
def test_description_that_cannot_be_right_is_refused(make, read, tmp_path, yaml, said):
    with pytest.raises(DataError, match=said):
        read(make.yolo(tmp_path, yaml=yaml))


def test_download_is_said_and_not_followed(make, read, tmp_path, warnings):
    yaml = "train: images/train\nval: images/val\nnames: [cat, dog]\ndownload: https://example.invalid/data.zip\n"
    assert len(read(make.yolo(tmp_path, yaml=yaml)).images) == 2
    assert warnings() == {"'download' in a YOLO description is not followed": 1}


def test_a_list_of_classes_does_where_there_is_no_description(make, read, tmp_path):
    make.put(tmp_path / "classes.txt", "cat\ndog\n")
    make.put(tmp_path / "images/a.jpg", make.picture())
    make.put(tmp_path / "labels/a.txt", "1 0.5 0.5 0.2 0.2\n")
    data = read(tmp_path)
    assert data.labels == ("cat", "dog") and data.images[0].classes.tolist() == [1] and data.images[0].split == ""
