"""TFRecords and label maps: what is read, and what each kind of damage costs."""

import gzip
import struct
import zlib

import numpy as np
import pytest

from trainbox.errors import ArchiveError, DataError
from trainbox.tasks.detect.formats import framing
from trainbox.tasks.detect.formats.label_map import read_label_map, write_label_map
from trainbox.tasks.detect.formats.tf_example import BrokenExample, decode_example, encode_example
from trainbox.tasks.detect.reading import looks_like_detection


def test_reads_images_boxes_and_classes(make, read, tmp_path, skips, warnings):
    data = read(make.records(tmp_path))
    assert data.labels == ("cat", "dog") and data.formats == ("TFRecord",)
    assert [image.file_name for image in data.images] == ["0.jpg", "1.jpg", "2.jpg", "3.jpg"]
    image = data.images[1]
    assert image.image.read() == make.picture(1)
    assert (image.height, image.width) == (make.height, make.width)
    np.testing.assert_array_equal(image.boxes_yxyx, np.float32([[0.25, 0.125, 0.5, 0.75]]))
    assert image.boxes_yxyx.dtype == np.float32 and image.classes.tolist() == [0]
    assert skips() == {} and warnings() == {"class has no box": 1}


def test_checksum_is_the_one_that_tensorflow_writes():
    # From TensorFlow's own crc32c tests: 32 zero bytes have the CRC-32C 0x8a9136aa.
    assert framing.crc32c(bytes(32)) == 0x8A9136AA
    assert (
        framing.masked_checksum(bytes(32))
        == (0x8A9136AA >> 15 | 0x8A9136AA << 17 & 0xFFFFFFFF) + 0xA282EAD8 & 0xFFFFFFFF
    )


@pytest.mark.parametrize("place", [14, -6])
def test_wrong_payload_costs_one_record(make, read, tmp_path, skips, problems, place):
    good = [make.record(number) for number in range(5)]
    bad = bytearray(good[2])
    bad[place] ^= 1
    data = read(make.records(tmp_path, b"".join([*good[:2], bytes(bad), *good[3:]])))
    assert [image.file_name for image in data.images] == ["0.jpg", "1.jpg", "3.jpg", "4.jpg"]
    assert skips() == {"record with a wrong checksum": 1}
    assert f"byte {len(good[0] + good[1])}" in problems.skips["record with a wrong checksum"].examples[0]


def test_wrong_length_costs_the_rest_and_says_where(make, read, tmp_path, skips, problems):
    good = [make.record(number) for number in range(5)]
    bad = bytearray(good[3])
    bad[0] ^= 1
    data = read(make.records(tmp_path, b"".join([*good[:3], bytes(bad), good[4]])))
    assert len(data.images) == 3
    assert skips() == {"TFRecord has a damaged length": 1}
    said = problems.skips["TFRecord has a damaged length"].examples[0]
    assert f"byte {sum(map(len, good[:3]))}" in said and str(len(good[3] + good[4])) in said


def test_length_that_is_right_but_absurd_is_not_believed(make, read, tmp_path, skips):
    length = struct.pack("<Q", 1 << 60)
    absurd = length + struct.pack("<I", framing.masked_checksum(length))
    data = read(make.records(tmp_path, make.record() + absurd + bytes(100)))
    assert len(data.images) == 1 and skips() == {"TFRecord has a damaged length": 1}


@pytest.mark.parametrize("left", [5, 12, 200, -1])
def test_torn_end_costs_the_last_record(make, read, tmp_path, skips, left):
    data = read(make.records(tmp_path, make.record(0) + make.record(1) + make.record(2)[:left]))
    assert len(data.images) == 2
    assert skips() == {"TFRecord ends in the middle of a record": 1}


@pytest.mark.parametrize("name", ["data.record", "data.record.gz", "data.tfrecord-00000-of-00001"])
@pytest.mark.parametrize(
    "pack", [gzip.compress, zlib.compress, lambda b: gzip.compress(b[:900]) + gzip.compress(b[900:])]
)
def test_compression_is_told_by_the_bytes(make, read, tmp_path, skips, name, pack):
    content = b"".join(make.record(number) for number in range(3))
    data = read(make.records(tmp_path, pack(content), name))
    assert [image.image.read() for image in data.images] == [make.picture(number) for number in range(3)]
    assert skips() == {}


def test_compressed_and_cut_short_keeps_what_came_before(make, read, tmp_path, skips):
    # Stored, not deflated, so that the cut falls into the last record and nowhere else.
    packed = gzip.compress(b"".join(make.record(number) for number in range(3)), compresslevel=0)
    data = read(make.records(tmp_path, packed[:-40]))
    assert len(data.images) == 2
    assert skips() == {"compressed TFRecord is cut short": 1, "TFRecord ends in the middle of a record": 1}


def test_compression_bomb_is_refused(make, read, tmp_path):
    with pytest.raises(ArchiveError, match="unpacks to too much"):
        read(make.records(tmp_path, gzip.compress(bytes(3 << 20))))


@pytest.mark.parametrize(("content", "said"), [(b"", "holds no record"), (b"not a record at all", "is no TFRecord")])
def test_no_record_is_refused(make, read, tmp_path, content, said):
    with pytest.raises(DataError, match=said):
        read(make.records(tmp_path, content))


def test_empty_file_beside_a_full_one_is_refused_but_not_an_empty_shard(make, read, tmp_path):
    make.records(tmp_path / "shards", name="a.record-00000-of-00002")
    make.put(tmp_path / "shards/a.record-00001-of-00002", b"")
    assert len(read(tmp_path / "shards").images) == 4
    make.records(tmp_path / "files", name="train.record")
    make.put(tmp_path / "files/test.record", b"")
    with pytest.raises(DataError, match=r"test.record' holds no record"):
        read(tmp_path / "files")


def test_shards_are_one_data_set_and_missing_ones_are_said(make, read, tmp_path, warnings, problems):
    make.records(tmp_path, make.record(0), "train.record-00000-of-00003")
    make.records(tmp_path, make.record(2), "train.record-00002-of-00003")
    data = read(tmp_path)
    assert [image.file_name for image in data.images] == ["0.jpg", "2.jpg"]
    assert {image.split for image in data.images} == {"train"}
    assert warnings()["shard is missing"] == 1
    assert "00001-of-00003" in problems.warnings["shard is missing"].examples[0]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"encoded": None}, "record has no image/encoded"),
        ({"encoded": [1]}, "record has no image/encoded"),
        ({"xmin": [b"0.1"]}, "record has 'image/object/bbox/xmin' of the wrong type"),
        ({"text": None, "label": [1.0]}, "record has 'image/object/class/label' of the wrong type"),
        ({"height": [1.5]}, "record has 'image/height' of the wrong type"),
        ({"text": [3]}, "record has 'image/object/class/text' of the wrong type"),
        ({"xmin": None}, "record has box arrays of unequal lengths"),
        ({"ymax": [0.4, 0.5]}, "record has box arrays of unequal lengths"),
        ({"text": [b"cat", b"cat"]}, "record has box arrays of unequal lengths"),
        ({"text": None, "label": None}, "record has boxes without classes"),
    ],
)
def test_unusable_record_is_skipped(make, read, tmp_path, skips, changes, reason):
    data = read(make.records(tmp_path, make.record(0) + make.record(1, **changes) + make.record(2)))
    assert [image.file_name for image in data.images] == ["0.jpg", "2.jpg"]
    assert skips() == {reason: 1}


def test_record_that_is_no_example_is_skipped(make, read, tmp_path, skips):
    data = read(make.records(tmp_path, make.record(0) + framing.frame(b"\xff\xff\xff\xff") + make.record(2)))
    assert len(data.images) == 2 and skips() == {"record is not a tf.train.Example": 1}


def test_too_many_unusable_records_are_refused(make, read, tmp_path):
    content = make.record(0) + b"".join(make.record(number, encoded=None) for number in range(1, 4))
    with pytest.raises(DataError, match=r"Too many images cannot be used: 3 of 4.*record has no image/encoded"):
        read(make.records(tmp_path, content))


def test_text_counts_more_than_the_number(make, read, tmp_path):
    data = read(make.records(tmp_path, make.record(text=[b"dog"], label=[1])))
    assert data.images[0].classes.tolist() == [1]


def test_number_counts_where_there_is_no_text(make, read, tmp_path):
    data = read(make.records(tmp_path, make.record(text=None, label=[2])))
    assert data.images[0].classes.tolist() == [1]


@pytest.mark.parametrize("changes", [{"text": [b"bird"]}, {"text": None, "label": [3]}, {"text": None, "label": [0]}])
def test_unmapped_class_costs_the_box(make, read, tmp_path, skips, changes):
    data = read(make.records(tmp_path, make.record(0) + make.record(1, **changes)))
    assert [len(image.classes) for image in data.images] == [1, 0]
    assert skips() == {"class is not in the label map": 1}


def test_without_a_label_map_the_names_in_the_records_are_the_classes(make, read, tmp_path):
    content = make.record(0, text=[b"zebra"]) + make.record(1, text=[b"ape"])
    data = read(make.records(tmp_path, content, label_map=""))
    assert data.labels == ("ape", "zebra") and [image.classes.tolist() for image in data.images] == [[1], [0]]


def test_record_without_boxes_is_background(make, read, tmp_path):
    corners = dict.fromkeys(("ymin", "xmin", "ymax", "xmax", "text", "label"))
    data = read(make.records(tmp_path, make.record(0) + make.record(1, **corners)))
    assert len(data.images) == 2 and data.images[1].boxes_yxyx.shape == (0, 4)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("item { id: 0 name: 'cat' }", "Ids start at 1: 0 is the background"),
        ("item { id: 1 name: 'cat' }\nitem { id: 1 name: 'dog' }", "gives id 1 twice, to 'cat' and 'dog'"),
        ("item { id: 1 name: 'cat' }\nitem { id: 2 name: 'cat' }", "names the class 'cat' twice"),
        ("item { id: 1 name: 'cat' }\nitem { id: 3 name: 'dog' }", "none with id 2"),
        ("item { id: 1 }", "without id or name"),
        ("item { id: 'x' name: 'cat' }", "cannot be read as a protobuf text message"),
        ("item { id: 1 name: 'cat'", "cannot be read as a protobuf text message"),
        ("item { " * 40, "more than 32 messages deep"),
    ],
)
def test_label_map_that_cannot_be_right_is_refused(make, read, tmp_path, text, said):
    with pytest.raises(DataError, match=said):
        read(make.records(tmp_path, label_map=text))


def test_two_label_maps_are_refused(make, read, tmp_path):
    make.put(tmp_path / "other.pbtxt", "item { id: 1 name: 'bird' }")
    with pytest.raises(DataError, match=r"Several label maps. Received: .*label_map.pbtxt, .*other.pbtxt"):
        read(make.records(tmp_path))


def test_label_map_may_have_more_than_is_read():
    read_map = read_label_map(
        b"item { name: '/m/01' id: 1 display_name: 'cat' keypoints { id: 2 label: 'eye' } }", "map"
    )
    assert read_map.labels() == ("cat",) and read_map.numbers == {"cat": 1, "/m/01": 1}


def test_written_label_map_is_read_back():
    labels = ("cat", 'a "quoted" \\ name', "Käse")
    assert read_label_map(write_label_map(labels).encode(), "map").labels() == labels


def test_example_survives_a_round_trip():
    features = {"a": (b"x", b""), "b": (1.5, -2.0), "c": (3, -(1 << 62))}
    assert decode_example(encode_example({**features, "empty": ()})) == features
    with pytest.raises(BrokenExample, match=r"not a tf.train.Example"):
        decode_example(b"\x0a\xff")


def test_the_pipeline_config_says_which_file_validates(make, read, tmp_path):
    make.records(tmp_path, make.record(0), "one.record")
    make.records(tmp_path, make.record(1), "two.record-00000-of-00001")
    reader = 'tf_record_input_reader {{ input_path: "/elsewhere/{}" }}'
    train, evaluate = (reader.format(name) for name in ("one.record", "two.record-?????-of-00001"))
    config = f"train_input_reader {{ {train} }}\neval_input_reader {{ {evaluate} }}"
    make.put(tmp_path / "pipeline.config", config)
    assert [image.split for image in read(tmp_path).images] == ["train", "validation"]


def test_a_checkpoint_is_not_taken_for_records(make, tmp_path):
    make.put(tmp_path / "model.ckpt.data-00000-of-00001", b"x")
    make.put(tmp_path / "events.out.tfevents.1.host.record", b"x")
    assert not looks_like_detection([tmp_path])
    assert looks_like_detection([make.records(tmp_path)])


def test_a_single_file_is_read_with_the_label_map_beside_it(make, read, tmp_path):
    data = read(make.records(tmp_path) / "data.record")
    assert data.labels == ("cat", "dog") and len(data.images) == 4


def test_records_in_an_archive(make, read, tmp_path):
    import zipfile

    folder = make.records(tmp_path / "folder")
    with zipfile.ZipFile(tmp_path / "data.zip", "w") as archive:
        for path in folder.iterdir():
            archive.write(path, path.name)
    data = read(tmp_path / "data.zip")
    assert data.labels == ("cat", "dog") and data.images[3].image.read() == make.picture(3)
