"""What ``trainbox check`` says of boxes, and the contact sheet."""

import json

import numpy as np
import pytest
from PIL import Image

from trainbox.tasks.detect.check import check
from trainbox.tasks.detect.contact_sheet import choose_images, draw_contact_sheet
from trainbox.tasks.detect.draw import draw_boxes


@pytest.fixture
def folder(make, tmp_path):
    """Six images of 80 x 60: 0-3 one cat of 30 x 30, 4 a tall dog and a wide dog, 5 background."""
    make.voc(tmp_path, 6)
    objects = make.voc_object("dog", (0, 0, 5, 60)) + make.voc_object("dog", (0, 0, 80, 40), difficult=1)
    make.put(tmp_path / "Annotations/4.xml", make.voc_xml("4.jpg", objects))
    make.put(tmp_path / "Annotations/5.xml", make.voc_xml("5.jpg"))
    return tmp_path


def test_counts_classes_sizes_and_shapes(folder):
    report = check([folder])
    data = report.data
    assert report.usable == data["images"] == 6 and data["boxes"] == 6
    assert data["background"] == 1 and data["difficult"] == 1 and data["crowd"] == 0
    assert data["classes"] == {
        "cat": {"images": 4, "boxes": 4, "small": 4, "medium": 0, "large": 0},
        "dog": {"images": 1, "boxes": 2, "small": 1, "medium": 1, "large": 0},
    }
    assert data["aspect_ratios"] | {"below 1:4": 1, "about square": 4, "2:1 to 4:1": 1} == data["aspect_ratios"]
    assert sum(data["aspect_ratios"].values()) == sum(data["area_shares"].values()) == 6
    assert data["boxes_per_image"]["0 (background)"] == 1 and data["boxes_per_image"]["2 to 4"] == 1
    assert data["image_sizes"] == {"80x60": 6}
    json.dumps(report.data)
    titles = [section.title for section in report.sections]
    assert titles[0] == "Data" and any(title.startswith("Classes") for title in titles)


def test_sheet_shows_the_boxes_where_they_are(folder, tmp_path):
    sheet = tmp_path / "sheet.png"
    report = check([folder], sheet=sheet)
    pixels = np.asarray(Image.open(sheet))
    assert report.data["contact_sheet"] == str(sheet) and pixels.ndim == 3 and len(np.unique(pixels)) > 50


def test_boxes_are_drawn_on_their_edges():
    drawn = draw_boxes(np.zeros((100, 200, 3), np.uint8), np.float32([[0.2, 0.1, 0.8, 0.5]]), [""], [(255, 0, 0)])
    red = drawn[..., 0] == 255
    rows, columns = np.flatnonzero(red.any(axis=1)), np.flatnonzero(red.any(axis=0))
    assert (rows[0], rows[-1], columns[0], columns[-1]) == (20, 79, 20, 99)
    assert not red[50, 60]


def test_every_class_is_on_the_sheet_however_rare(make, read, folder):
    data = read(folder)
    assert 4 in choose_images(data, 2)
    assert choose_images(data, 100) == [0, 1, 2, 3, 4, 5]
    make.put(folder / "JPEGImages/0.jpg", b"broken now")
    assert draw_contact_sheet(data, count=4, columns=2, tile=64).shape[2] == 3


def test_the_sheet_shows_all_of_the_data_and_not_its_beginning(make, read, tmp_path):
    data = read(make.voc(tmp_path / "many", 60))
    chosen = choose_images(data, 8)
    assert len(chosen) == 8
    assert chosen[0] < 15 and chosen[-1] >= 45
    assert max(np.diff(chosen)) < 25
