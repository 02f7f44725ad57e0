"""COCO files."""

import json

import numpy as np
import pytest

from trainbox.errors import DataError


def test_reads_ids_from_zero_in_order_of_their_numbers(make, read, tmp_path, skips):
    data = read(make.coco(tmp_path))
    assert data.labels == ("dog", "cat") and [image.classes.tolist() for image in data.images] == [[1], [1], [0]]
    np.testing.assert_allclose(data.images[0].boxes_yxyx, [[0.1, 0.1, 0.6, 0.3]], rtol=1e-6)
    assert skips() == {}


def test_image_without_annotation_is_background(make, read, tmp_path):
    data = read(make.coco(tmp_path, lambda content: content["annotations"].pop(0)))
    assert [len(image.classes) for image in data.images] == [0, 1, 1]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"image_id": 99}, "annotation of an image that is not listed"),
        ({"image_id": None}, "annotation of an image that is not listed"),
        ({"category_id": 99}, "annotation of a category that is not listed"),
        ({"category_id": [3]}, "annotation of a category that is not listed"),
        ({"bbox": [1, 2, 3]}, "annotation has no box of four numbers"),
        ({"bbox": [1, 2, 3, "4"]}, "annotation has no box of four numbers"),
        ({"bbox": [1, 2, float("nan"), 4]}, "annotation has no box of four numbers"),
        ({"bbox": [1, 2, 3, 10**400]}, "annotation has no box of four numbers"),
        ({"bbox": None}, "annotation has no box of four numbers"),
        ({"bbox": [1, 2, 0, 4]}, "box has no area"),
        ({"bbox": [1, 2, -5, 4]}, "box has no area"),
        ({"bbox": [200, 2, 5, 4]}, "box has no area within the image"),
    ],
)
def test_unusable_annotation_costs_itself(make, read, tmp_path, skips, change, reason):
    data = read(make.coco(tmp_path, lambda content: content["annotations"][0].update(change)))
    assert [len(image.classes) for image in data.images] == [0, 1, 1]
    assert skips() == {reason: 1}


def test_annotation_that_is_no_object_costs_itself(make, read, tmp_path, skips):
    assert len(read(make.coco(tmp_path, lambda content: content["annotations"].append("x"))).images) == 3
    assert skips() == {"annotation is no JSON object": 1}


def test_crowd_is_marked_and_counted(make, read, tmp_path, skips):
    data = read(make.coco(tmp_path, lambda content: content["annotations"][1].update(iscrowd=1)))
    assert [image.crowd.tolist() for image in data.images] == [[False], [True], [False]]
    assert skips() == {"box of a crowd is not trained on": 1}


@pytest.mark.parametrize("section", ["images", "annotations", "categories"])
def test_id_that_occurs_twice_is_refused(make, read, tmp_path, section):
    def change(content):
        content[section][1]["id"] = content[section][0]["id"]

    with pytest.raises(DataError, match=f"has the id [03] twice in '{section}'"):
        read(make.coco(tmp_path, change))


def test_two_categories_of_one_name_are_refused(make, read, tmp_path):
    with pytest.raises(DataError, match="two categories named 'cat'"):
        read(make.coco(tmp_path, lambda content: content["categories"][1].update(name="cat")))


def test_group_without_boxes_is_no_class(make, read, tmp_path):
    def change(content):
        content["categories"] = [
            {"id": 0, "name": "animals", "supercategory": "none"},
            {"id": 1, "name": "cat", "supercategory": "animals"},
        ]
        for annotation in content["annotations"]:
            annotation["category_id"] = 1

    assert read(make.coco(tmp_path, change)).labels == ("cat",)


@pytest.mark.parametrize("entry", [{"id": 1}, {"file_name": "1.jpg"}, {"id": 1, "file_name": 7}, "1.jpg"])
def test_image_that_is_not_said_is_missing(make, read, tmp_path, skips, entry):
    def change(content):
        content["images"][1] = entry

    assert [image.file_name for image in read(make.coco(tmp_path, change)).images] == ["0.jpg", "2.jpg"]
    assert skips()["annotated image is missing"] == 1


@pytest.mark.parametrize(
    "content",
    ['{"images": [], "annotations": [], "categories": []', '{"images": 1, "annotations": [], "categories": []}'],
)
def test_broken_file_is_refused(make, read, tmp_path, content):
    make.put(tmp_path / "instances.json", content)
    with pytest.raises(DataError, match=r"instances\.json' (cannot be read as COCO annotations|is no COCO file)"):
        read(tmp_path)


def test_a_file_a_split(make, read, tmp_path):
    for folder in ("train", "valid", "test"):
        make.coco(tmp_path / folder)
    assert [image.split for image in read(tmp_path).images] == ["test"] * 3 + ["train"] * 3 + ["validation"] * 3
    assert {str(image.image).split("/")[-3] for image in read(tmp_path).images if image.split == "test"} == {"test"}


def test_files_with_different_categories_are_refused(make, read, tmp_path):
    make.coco(tmp_path / "train")
    make.coco(tmp_path / "valid", lambda content: content["categories"][0].update(name="lion"))
    with pytest.raises(DataError, match="have different categories"):
        read(tmp_path)


def test_other_json_is_not_taken_for_it(make, read, tmp_path):
    make.put(tmp_path / "package.json", json.dumps({"images": [], "name": "x"}))
    with pytest.raises(DataError, match="No detection data set found"):
        read(tmp_path)


def test_a_single_file_is_read_with_the_images_beside_it(make, read, tmp_path):
    make.coco(tmp_path)
    make.put(tmp_path / "other.json", (tmp_path / "instances.json").read_text())
    assert len(read(tmp_path / "other.json").images) == 3
