"""Real data sets, where TRAINBOX_TEST_DATA has them."""

import os
from collections import Counter
from pathlib import Path

import pytest

from trainbox.errors import DataError
from trainbox.tasks.detect.formats.pipeline_config import read_pipeline_config
from trainbox.tasks.detect.split import split_images


def real(name):
    folder = os.environ.get("TRAINBOX_TEST_DATA")
    if not folder:
        pytest.skip("TRAINBOX_TEST_DATA is not set")
    if not Path(folder, name).exists():
        pytest.skip(f"TRAINBOX_TEST_DATA has no {name}")
    return Path(folder, name)


def test_blood_cells(read, skips, warnings):
    data = read(real("BCCD"))
    assert data.labels == ("Platelets", "RBC", "WBC") and sum(len(image.classes) for image in data.images) == 4886
    assert Counter(image.split for image in data.images) == {"train": 205, "validation": 87, "test": 72}
    assert skips() == {"box has no area": 2} and warnings() == {}


@pytest.mark.parametrize(("data_format", "images"), [("voc", 200), ("csv", 200), ("tfrecord", 40)])
def test_raccoons(read, data_format, images):
    data = read(real("raccoon"), data_format=data_format)
    assert data.labels == ("raccoon",) and len(data.images) == images


def test_raccoons_hold_copies(read, problems, warnings):
    data = read(real("raccoon"), data_format="voc")
    split_images(data.images, 0.2, 1, problems)
    assert warnings()["image is there more than once"] == 4


def test_road_signs(read, skips):
    data = read(real("roadsign_data"))
    assert data.labels == ("stop", "speed_10", "speed_20", "speed_30") and len(data.images) == 774
    assert sum(len(image.classes) for image in data.images) == 792 and skips() == {}


def test_pets_with_their_label_map(read, make, tmp_path):
    for name in ("pets_examples.record", "pet_label_map.pbtxt"):
        make.put(tmp_path / name, (real("odapi_test_data") / name).read_bytes())
    data = read(tmp_path)
    assert len(data.images) == 10 and len(data.labels) == 37
    assert all(data.labels[number] in image.file_name for image in data.images for number in image.classes)


def test_every_sample_config_parses_or_is_refused_by_name():
    configs = sorted(real("odapi_test_data").glob("configs/*.config"))
    assert len(configs) == 21
    refused = {}
    for path in configs:
        config = read_pipeline_config(path.read_bytes(), path.name)
        try:
            assert config.ssd().num_classes >= 1
        except DataError as error:
            refused[path.stem] = str(error).split("'")[3]
    assert sorted(refused.values()) == [
        "embedded_ssd_mobilenet_v1",
        "keep_aspect_ratio_resizer",
        "ssd_mobilenet_v1_fpn",
        "ssd_mobilenet_v1_ppn",
        "ssd_mobilenet_v2_fpn",
    ]
