"""Pascal VOC folders."""

import numpy as np
import pytest

from trainbox.errors import DataError

BOMB = '<!DOCTYPE a [<!ENTITY b "bbbb"><!ENTITY c "&b;&b;&b;&b;">]>'


def test_reads_boxes_in_pixels(make, read, tmp_path, skips, warnings):
    make.voc(tmp_path)
    objects = make.voc_object("dog", (0, 0, 80, 60), difficult=1) + make.voc_object("cat", (20, 15, 60.5, 30))
    make.put(tmp_path / "Annotations/1.xml", make.voc_xml("1.jpg", objects))
    data = read(tmp_path)
    assert data.labels == ("cat", "dog") and len(data.images) == 4
    image = data.images[1]
    np.testing.assert_allclose(image.boxes_yxyx, [[0, 0, 1, 1], [0.25, 0.25, 0.5, 60.5 / 80]], rtol=1e-6)
    assert image.classes.tolist() == [1, 0] and image.difficult.tolist() == [True, False]
    assert skips() == {} and warnings() == {}


@pytest.mark.parametrize("before", [BOMB, '<?xml version="1.0"?>' + BOMB, '<!DOCTYPE a SYSTEM "file:///etc/passwd">'])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_document_type_is_never_read(make, read, tmp_path, skips, before, encoding):
    make.voc(tmp_path)
    make.put(tmp_path / "Annotations/1.xml", make.voc_xml("&c;", make.voc_object(), before=before).encode(encoding))
    assert len(read(tmp_path).images) == 3
    assert skips()["annotation declares a DOCTYPE"] == 1


@pytest.mark.parametrize(
    ("box", "reason"),
    [
        ((40, 10, 40, 40), "box has no area"),
        ((40, 10, 20, 40), "box has no area"),
        ((90, 10, 100, 40), "box has no area within the image"),
        ((-20, -20, 0, -5), "box has no area within the image"),
        (("", 10, 20, 40), "box has a coordinate that is no number"),
        (("nan", 10, 20, 40), "box has a coordinate that is no number"),
        (("1e999", 10, 20, 40), "box has a coordinate that is no number"),
        (("ten", 10, 20, 40), "box has a coordinate that is no number"),
    ],
)
def test_unusable_box_costs_itself(make, read, tmp_path, skips, box, reason):
    make.voc(tmp_path)
    objects = make.voc_object(box=box) + make.voc_object(box=(1, 2, 30, 40))
    make.put(tmp_path / "Annotations/2.xml", make.voc_xml("2.jpg", objects))
    data = read(tmp_path)
    assert [len(image.classes) for image in data.images] == [1, 1, 1, 1]
    assert skips() == {reason: 1}


def test_box_without_a_class_costs_itself(make, read, tmp_path, skips):
    make.voc(tmp_path)
    make.put(tmp_path / "Annotations/2.xml", make.voc_xml("2.jpg", make.voc_object(" ")))
    assert len(read(tmp_path).images[2].classes) == 0
    assert skips() == {"box has no class": 1}


def test_box_that_reaches_beyond_the_image_is_clipped(make, read, tmp_path, skips, warnings):
    make.voc(tmp_path)
    make.put(tmp_path / "Annotations/2.xml", make.voc_xml("2.jpg", make.voc_object(box=(-8, 30, 40, 90))))
    np.testing.assert_allclose(read(tmp_path).images[2].boxes_yxyx, [[0.5, 0, 1, 0.5]])
    assert skips() == {} and warnings() == {"box reaches beyond the image and is clipped": 1}


@pytest.mark.parametrize("declared", [(30, 40), (0, 0), (600, 800)])
def test_the_size_of_the_image_counts_and_not_the_one_that_is_written(make, read, tmp_path, warnings, declared):
    make.voc(tmp_path)
    xml = make.voc_xml("2.jpg", make.voc_object(box=(20, 15, 60, 30)), *declared)
    make.put(tmp_path / "Annotations/2.xml", xml)
    np.testing.assert_allclose(read(tmp_path).images[2].boxes_yxyx, [[0.25, 0.25, 0.5, 0.75]])
    # A size of 0 is what tools write that did not look.
    assert warnings() == ({"annotation says another image size: the image counts": 1} if declared[0] else {})


def test_image_without_objects_is_background(make, read, tmp_path):
    make.voc(tmp_path)
    make.put(tmp_path / "Annotations/2.xml", make.voc_xml("2.jpg"))
    data = read(tmp_path)
    assert len(data.images) == 4 and data.images[2].boxes_yxyx.shape == (0, 4)


def test_missing_and_unannotated_images_are_counted(make, read, tmp_path, skips):
    make.voc(tmp_path)
    (tmp_path / "JPEGImages/0.jpg").unlink()
    make.put(tmp_path / "JPEGImages/other.jpg", make.picture(9))
    assert len(read(tmp_path).images) == 3
    assert skips() == {"annotated image is missing": 1, "image has no annotation": 1}


def test_image_is_found_by_the_name_of_the_annotation_where_the_written_one_is_wrong(make, read, tmp_path):
    make.voc(tmp_path)
    make.put(tmp_path / "Annotations/2.xml", make.voc_xml("C:\\Users\\me\\IMG_0001.JPG", make.voc_object()))
    assert [image.file_name for image in read(tmp_path).images] == ["0.jpg", "1.jpg", "2.jpg", "3.jpg"]


def test_of_two_images_of_one_name_the_nearer_is_meant(make, read, tmp_path):
    for number, split in enumerate(("train", "valid")):
        make.put(tmp_path / f"{split}/a.jpg", make.picture(number))
        make.put(tmp_path / f"{split}/a.xml", make.voc_xml("a.jpg", make.voc_object()))
    images = read(tmp_path).images
    assert [(image.split, image.image.read()) for image in images] == [
        ("train", make.picture(0)),
        ("validation", make.picture(1)),
    ]


@pytest.mark.parametrize(
    "xml", ["<annotation><object>", "", "\x00\x01", "<?xml version='1.0' encoding='nonsense'?><annotation/>"]
)
def test_broken_xml_costs_one_image(make, read, tmp_path, skips, xml):
    make.voc(tmp_path)
    make.put(tmp_path / "Annotations/2.xml", xml)
    assert len(read(tmp_path).images) == 3
    assert skips() == {"annotation is not valid XML": 1, "image has no annotation": 1}


def test_the_lists_of_imagesets_are_the_split(make, read, tmp_path, warnings):
    make.voc(tmp_path, 5)
    make.put(tmp_path / "ImageSets/Main/train.txt", "0\n3\n")
    make.put(tmp_path / "ImageSets/Main/val.txt", "1\n3\n")
    make.put(tmp_path / "ImageSets/Main/test.txt", "2\n")
    make.put(tmp_path / "ImageSets/Main/trainval.txt", "0\n1\n3\n")
    make.put(tmp_path / "ImageSets/Main/cat_train.txt", "2 -1\n")
    assert [image.split for image in read(tmp_path).images] == ["train", "validation", "test", "train", "train"]
    assert warnings() == {
        "image is in two splits and is used for training": 1,
        "annotation is in no list of ImageSets/Main and is used for training": 1,
    }


def test_a_label_map_beside_it_gives_the_order_of_the_classes(make, read, tmp_path, skips):
    make.voc(tmp_path)
    make.put(tmp_path / "Annotations/2.xml", make.voc_xml("2.jpg", make.voc_object("bird")))
    make.put(tmp_path / "map.pbtxt", "item { id: 2 name: 'cat' } item { id: 1 name: 'dog' }")
    data = read(tmp_path)
    assert data.labels == ("dog", "cat") and data.images[0].classes.tolist() == [1]
    assert skips() == {"class is not in the label map": 1}


def test_too_many_missing_images_are_refused(make, read, tmp_path):
    make.voc(tmp_path)
    for number in range(3):
        (tmp_path / f"JPEGImages/{number}.jpg").unlink()
    with pytest.raises(DataError, match=r"Too many images cannot be used: 3 of 4.*annotated image is missing"):
        read(tmp_path)


def test_no_box_at_all_is_refused(make, read, tmp_path):
    make.put(tmp_path / "a.jpg", make.picture())
    make.put(tmp_path / "a.xml", make.voc_xml("a.jpg"))
    with pytest.raises(DataError, match="No box is left to train on"):
        read(tmp_path)
