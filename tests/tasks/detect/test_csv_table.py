"""CSVs of the TensorFlow detection tutorials."""

import numpy as np
import pytest

from trainbox.errors import DataError

HEAD = "filename,width,height,class,xmin,ymin,xmax,ymax\n"


@pytest.fixture
def table(make, tmp_path):
    def write(text, name="labels.csv"):
        for number in range(3):
            make.put(tmp_path / f"images/{number}.jpg", make.picture(number))
        make.put(tmp_path / name, text)
        return tmp_path

    return write


LINES = "0.jpg,80,60,cat,8,6,24,36\n0.jpg,80,60,dog,0,0,80,60\n1.jpg,80,60,cat,8,6,24,36\n2.jpg,80,60,cat,8,6,24,36\n"


def test_reads_a_box_a_line(read, table, skips, warnings):
    data = read(table(HEAD + LINES))
    assert data.labels == ("cat", "dog") and [len(image.classes) for image in data.images] == [2, 1, 1]
    np.testing.assert_allclose(data.images[0].boxes_yxyx, [[0.1, 0.1, 0.6, 0.3], [0, 0, 1, 1]], rtol=1e-6)
    assert skips() == {} and warnings() == {}


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("0.jpg,80,60,cat,8,6,24", "CSV line has the wrong number of columns"),
        ("0.jpg,80,60,cat,8,5,6,24,36", "CSV line has the wrong number of columns"),
        ('0.jpg,80,60,cat,"8,5",6,24,36', "CSV line has a decimal comma"),
        ("0.jpg,80,60,cat,x,6,24,36", "box has a coordinate that is no number"),
        ("0.jpg,80,60,cat,inf,6,24,36", "box has a coordinate that is no number"),
        ("0.jpg,80,60,,8,6,24,36", "box has no class"),
        ("0.jpg,80,60,cat,24,6,24,36", "box has no area"),
        ("9.jpg,80,60,cat,8,6,24,36", "annotated image is missing"),
    ],
)
def test_unusable_line_costs_itself(read, table, skips, problems, line, reason):
    data = read(table(HEAD + LINES + line + "\n"))
    assert [len(image.classes) for image in data.images] == [2, 1, 1]
    assert skips() == {reason: 1}
    assert "labels.csv" in problems.skips[reason].examples[0]


def test_columns_are_found_by_name_and_semicolons_do(read, table):
    head, *lines = (HEAD + LINES).splitlines()
    turned = "\r\n".join([head.upper().replace("CLASS", "label"), *lines]).replace(",", ";")
    assert [len(image.classes) for image in read(table("\ufeff" + turned)).images] == [2, 1, 1]


def test_line_without_a_box_is_background(read, table):
    data = read(table(HEAD + LINES.replace("1.jpg,80,60,cat,8,6,24,36", "1.jpg,80,60,,,,,")))
    assert [len(image.classes) for image in data.images] == [2, 0, 1]


def test_images_that_are_in_no_line_are_counted(read, table, skips):
    assert len(read(table(HEAD + LINES.replace("2.jpg", "1.jpg"))).images) == 2
    assert skips() == {"image has no annotation": 1}


def test_a_table_a_split_and_the_one_for_all_is_left_out(read, table, skips):
    lines = LINES.splitlines(keepends=True)
    table(HEAD + LINES, "all_labels.csv")
    table(HEAD + "".join(lines[:3]), "train_labels.csv")
    data = read(table(HEAD + lines[3], "test_labels.csv"))
    assert sorted((image.file_name, image.split) for image in data.images) == [
        ("0.jpg", "train"),
        ("1.jpg", "train"),
        ("2.jpg", "test"),
    ]
    assert skips() == {"CSV without a split beside CSVs with one": 1}


def test_table_without_names_of_files_is_refused(read, table):
    with pytest.raises(DataError, match="has no column 'filename' or 'class'"):
        read(table(HEAD.replace("filename", "number") + LINES))
