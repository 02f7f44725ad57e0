"""TFRecords that we write, read again by us and by TensorFlow."""

import hashlib
import io

import numpy as np
import pytest
from PIL import Image

from trainbox.data.images import decode_rgb
from trainbox.errors import UsageError
from trainbox.tasks.detect.convert import convert


def by_name(data):
    return {image.file_name: image for image in data.images}


@pytest.mark.parametrize("writer", ["voc", "coco", "yolo"])
def test_written_records_hold_the_same_data(make, read, tmp_path, problems, writer):
    folder = getattr(make, writer)(tmp_path / "in")
    counts = convert([folder], tmp_path / "out", problems)
    before, after = read(folder), read(tmp_path / "out")
    assert after.labels == before.labels and sum(counts.values()) == len(after.images)
    for name, image in by_name(before).items():
        again = by_name(after)[name]
        assert again.digest == image.digest and again.split == (image.split or "train")
        np.testing.assert_array_equal(again.boxes_yxyx, image.boxes_yxyx)
        np.testing.assert_array_equal(again.classes, image.classes)


def test_flags_and_background_survive(make, read, tmp_path, problems):
    make.voc(tmp_path / "in")
    make.put(tmp_path / "in/Annotations/1.xml", make.voc_xml("1.jpg"))
    make.put(tmp_path / "in/Annotations/2.xml", make.voc_xml("2.jpg", make.voc_object(difficult=1)))
    convert([tmp_path / "in"], tmp_path / "out", problems)
    images = read(tmp_path / "out").images
    assert [len(image.classes) for image in images] == [1, 0, 1, 1] and images[2].difficult.tolist() == [True]


def test_shards_are_cut_by_size_and_numbered(make, read, tmp_path, problems):
    make.voc(tmp_path / "in", 7)
    size = len((tmp_path / "in/JPEGImages/0.jpg").read_bytes())
    convert([tmp_path / "in"], tmp_path / "out", problems, shard_bytes=size * 4)
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names[0] == "label_map.pbtxt" and len(names) > 2
    assert names[1:] == [f"train.record-{number:05d}-of-{len(names) - 1:05d}" for number in range(len(names) - 1)]
    assert [image.file_name for image in read(tmp_path / "out").images] == [f"{number}.jpg" for number in range(7)]


def test_the_same_data_gives_the_same_bytes(make, tmp_path, problems):
    make.voc(tmp_path / "in")
    for out in ("a", "b"):
        convert([tmp_path / "in"], tmp_path / out, problems)
    first, second = ({path.name: path.read_bytes() for path in (tmp_path / out).iterdir()} for out in ("a", "b"))
    assert first == second


def test_what_tensorflow_would_show_otherwise_is_encoded_anew(make, read, tmp_path, problems, warnings):
    make.voc(tmp_path / "in", 4)
    stored = make.picture(1, 80, 60, orientation=6)
    make.put(tmp_path / "in/JPEGImages/1.jpg", stored)
    make.put(tmp_path / "in/JPEGImages/2.jpg", make.picture(2, kind="BMP"))
    buffer = io.BytesIO()
    Image.new("RGBA", (80, 60), (1, 2, 3, 100)).save(buffer, format="PNG")
    make.put(tmp_path / "in/JPEGImages/3.jpg", buffer.getvalue())
    convert([tmp_path / "in"], tmp_path / "out", problems)
    images = read(tmp_path / "out").images
    assert warnings()["image is encoded anew, upright and as RGB"] == 3
    assert images[1].orientation == 1 and (images[1].height, images[1].width) == (60, 80)
    shown, again = decode_rgb(stored)[0].astype(int), decode_rgb(images[1].image.read())[0].astype(int)
    assert np.abs(shown - again).mean() < 3
    np.testing.assert_array_equal(decode_rgb(images[2].image.read())[0], decode_rgb(make.picture(2, kind="BMP"))[0])


def test_nothing_is_overwritten_and_nothing_half_written(make, tmp_path, problems):
    make.voc(tmp_path / "in")
    make.put(tmp_path / "out/mine.txt", "mine")
    with pytest.raises(UsageError, match="need a new or empty folder"):
        convert([tmp_path / "in"], tmp_path / "out", problems)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out"]
    assert (tmp_path / "out/mine.txt").read_text() == "mine"


def test_tensorflow_reads_them_with_the_detection_apis_keys(make, tmp_path, problems):
    tensorflow = pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
    make.yolo(tmp_path / "in")
    make.put(tmp_path / "in/labels/train/a.txt", "")
    convert([tmp_path / "in"], tmp_path / "out", problems)
    text, number, real = (tensorflow.io.VarLenFeature(kind) for kind in ("string", "int64", "float32"))
    keys = {f"image/object/bbox/{corner}": real for corner in ("ymin", "xmin", "ymax", "xmax")}
    keys |= {"image/object/class/text": text, "image/object/class/label": number, "image/object/area": real}
    keys |= {"image/object/difficult": number, "image/object/is_crowd": number}
    for name, kind in (("encoded", "string"), ("format", "string"), ("filename", "string"), ("source_id", "string"),
                       ("key/sha256", "string"), ("height", "int64"), ("width", "int64")):  # fmt: skip
        keys[f"image/{name}"] = tensorflow.io.FixedLenFeature((), kind)
    files = sorted(str(path) for path in (tmp_path / "out").glob("*.record-*"))
    examples = [tensorflow.io.parse_single_example(raw, keys) for raw in tensorflow.data.TFRecordDataset(files)]
    background, dog = examples
    assert background["image/object/class/label"].shape[0] == 0 and background["image/filename"].numpy() == b"a.jpg"
    assert dog["image/object/class/label"].values.numpy().tolist() == [2]
    assert dog["image/object/class/text"].values.numpy().tolist() == [b"dog"]
    corners = [dog[f"image/object/bbox/{corner}"].values.numpy()[0] for corner in ("ymin", "xmin", "ymax", "xmax")]
    np.testing.assert_allclose(corners, [0.4, 0.4, 0.6, 0.6], rtol=1e-6)
    encoded = dog["image/encoded"].numpy()
    assert dog["image/key/sha256"].numpy().decode() == hashlib.sha256(encoded).hexdigest()
    assert tensorflow.io.decode_image(encoded).shape == (dog["image/height"], dog["image/width"], 3)
