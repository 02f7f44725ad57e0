import json
from pathlib import Path

import pytest


def change(root: Path, number: int, **changes):
    path = root / f"record_{number}.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_records_are_sorted_by_number(v1, read):
    reading = read(v1([10, 2, 1, 33, 9]))
    assert reading.indices == [1, 2, 9, 10, 33]
    assert [record.position for record in reading.records] == [1, 2, 9, 10, 33]
    assert reading.records[2].image.name == "9_cam-image_array_.jpg"
    assert reading.records[2].image.read().startswith(b"\xff\xd8")
    assert (reading.skips, reading.warnings) == ({}, {})
    assert reading.tubs[0].version == 1


def test_a_record_is_what_its_file_says(v1, read):
    root = v1([3], **{"pilot/angle": 0.9, "milliseconds": 1234, "imu/accel": [1, 2, 3], "nested": {"a": 1}})
    (record,) = read(root).records
    assert (record.session, record.mode, record.angle, record.throttle) == ("", "user", 0.0, 0.3)
    assert record.timestamp_ms == 1234
    assert record.values == {"pilot/angle": 0.9, "milliseconds": 1234, "imu/accel": [1, 2, 3], "timestamp": None}


@pytest.mark.parametrize(
    ("timestamp", "expected"),
    [("2018-08-12 14:11:12.500000+00:00", 1534083072500), (1534083072500, 1534083072500), (None, None), ("noon", None)],
)
def test_timestamps_of_every_kind(v1, read, timestamp, expected):
    assert read(v1([1], timestamp=timestamp)).records[0].timestamp_ms == expected


def test_a_timestamp_may_be_absent_and_numbers_may_be_whole(v1, read):
    root = v1([0, 1])
    (root / "record_0.json").write_text(
        '{"user/angle": 1, "user/throttle": 0, "cam/image_array": "0_cam-image_array_.jpg"}'
    )
    record = read(root).records[0]
    assert (record.angle, record.throttle, record.mode, record.timestamp_ms) == (1.0, 0.0, "user", None)
    assert isinstance(record.angle, float)


def test_excluded_records_are_left_out(v1, read):
    root = v1(range(6))
    (root / "exclude.json").write_text('[1, 4, 99, "x", null]')
    reading = read(root)
    assert reading.indices == [0, 2, 3, 5]
    assert reading.skips == {"record is excluded (exclude.json)": 2}
    assert reading.accounted
    assert len(reading.tubs[0].spare_images) == 2


def test_a_broken_exclude_file_is_ignored_and_said(v1, read):
    root = v1(range(3))
    (root / "exclude.json").write_text("[1, ")
    reading = read(root)
    assert len(reading.records) == 3
    assert reading.warnings == {"exclude.json cannot be read and is ignored": 1}


def test_meta_may_be_missing_and_may_name_the_camera(v1, read):
    root = v1(range(2))
    (root / "meta.json").unlink()
    assert len(read(root).records) == 2
    (root / "meta.json").write_text('{"inputs": ["speed", "cam/front"], "types": ["float", "image_array"]}')
    for number in range(2):
        values = json.loads((root / f"record_{number}.json").read_text())
        values["cam/front"] = values.pop("cam/image_array")
        (root / f"record_{number}.json").write_text(json.dumps(values))
    assert len(read(root).records) == 2


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "record is empty"),
        (b"\x00" * 200, "record is empty"),
        (b'{"user/angle": 0.1, "user/thr', "record is not valid JSON"),
        (b"[1, 2]", "record is not a JSON object"),
        (b"null", "record is not a JSON object"),
        (b"[" * 5000, "record is nested too deep"),
        (b" " * (1 << 20) + b"{}", "record cannot be read: file is too large"),
    ],
)
def test_broken_record_files_are_left_out(v1, read, content, reason):
    root = v1(range(3))
    (root / "record_1.json").write_bytes(content)
    reading = read(root)
    assert reading.indices == [0, 2]
    assert reading.skips == {reason: 1}
    assert reading.accounted


def test_byte_order_mark_and_repeated_keys_are_read(v1, read):
    root = v1(range(2))
    plain = (root / "record_1.json").read_bytes()
    (root / "record_1.json").write_bytes(b"\xef\xbb\xbf" + plain.replace(b"{", b'{"user/angle": 0.77, ', 1))
    reading = read(root)
    assert reading.records[1].angle == json.loads(plain)["user/angle"]
    assert reading.warnings == {"record has a key twice: the last one counts": 1}


def test_a_number_twice_is_left_out(v1, read):
    root = v1(range(2))
    (root / "record_01.json").write_bytes((root / "record_1.json").read_bytes())
    reading = read(root)
    assert reading.indices == [0, 1]
    assert reading.skips == {"record number occurs twice": 1}
    assert reading.accounted


def test_files_that_only_resemble_records_are_none(v1, read):
    root = v1(range(2))
    for name in ("record_.json", "record_x.json", "record_1.json.bak", "my_record_1.json", "record_-1.json"):
        (root / name).write_text("{}")
    assert len(read(root).records) == 2
