"""What holds for tubs of both versions, alone and many at once."""

import json
import math
import pickle
import shutil
import zipfile
from pathlib import Path

import pytest

from opt_ml import tree_digest
from trainbox.data.problems import Problems
from trainbox.errors import ArchiveError, DataError
from trainbox.tasks.drive.tubs import looks_like_tubs, read_tubs


@pytest.fixture(params=["v1", "v2"])
def spoil(request, v1, v2, values_of, tmp_path):
    """Write a tub of four records of either version, the second with the given values changed or, as None, gone."""

    def write(changes: dict) -> Path:
        if request.param == "v1":
            root = v1(range(4))
            path = root / "record_1.json"
            path.write_text(json.dumps(changed(json.loads(path.read_text()), changes)))
            return root
        root = v2([values_of(number) for number in range(4)], folder=f"tub{len(list(tmp_path.iterdir()))}")
        lines = (root / "catalog_0.catalog").read_text().splitlines()
        lines[1] = json.dumps(changed(json.loads(lines[1]), changes))
        (root / "catalog_0.catalog_manifest").unlink()
        (root / "catalog_0.catalog").write_text("\n".join(lines) + "\n")
        return root

    return write


GONE = object()


def changed(values: dict, changes: dict) -> dict:
    return {key: value for key, value in {**values, **changes}.items() if value is not GONE}


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (GONE, "is missing"),
        (None, "is not a number"),
        ("0.5", "is not a number"),
        (True, "is not a number"),
        ([0.5], "is not a number"),
        (math.nan, "is NaN or infinite"),
        (math.inf, "is NaN or infinite"),
        (1.08, "is outside -1 to 1"),
        (-1.08, "is outside -1 to 1"),
        pytest.param(10**400, "is outside -1 to 1", id="huge"),
    ],
)
@pytest.mark.parametrize("command", ["angle", "throttle"])
def test_commands_that_are_none_cost_their_record(spoil, read, command, value, reason):
    reading = read(spoil({f"user/{command}": value}))
    assert reading.indices == [0, 2, 3]
    assert reading.skips == {f"{command} {reason}": 1}
    assert reading.accounted


@pytest.mark.parametrize(("value", "expected"), [(1, 1.0), (-1, -1.0), (0, 0.0), (1.0000001, 1.0), (-1.0000001, -1.0)])
def test_whole_numbers_and_rounding_are_fine(spoil, read, value, expected):
    reading = read(spoil({"user/angle": value}))
    assert reading.records[1].angle == expected
    assert isinstance(reading.records[1].angle, float)


def test_what_the_pilot_did_is_never_the_command(spoil, read):
    reading = read(spoil({"user/angle": GONE, "user/throttle": GONE, "pilot/angle": 0.5, "pilot/throttle": 0.5}))
    assert reading.indices == [0, 2, 3]
    reading = read(spoil({"pilot/angle": 0.9, "pilot/throttle": 0.8, "user/mode": "local"}))
    record = reading.records[1]
    assert (record.mode, record.throttle) == ("local", 0.3)
    assert record.angle != 0.9
    assert record.values["pilot/angle"] == 0.9


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        (GONE, "image is not named"),
        (None, "image is not named"),
        ("", "image is not named"),
        (7, "image is not named"),
        ("gone.jpg", "image is missing"),
        ("../secret.jpg", "image path leads out of the tub"),
        ("/etc/hostname", "image path leads out of the tub"),
        ("C:\\tub\\1.jpg", "image path leads out of the tub"),
    ],
)
def test_images_that_are_none_cost_their_record(spoil, read, tmp_path, name, reason):
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    reading = read(spoil({"cam/image_array": name}))
    assert reading.indices == [0, 2, 3]
    assert reading.skips == {reason: 1}
    assert reading.warnings == {"image without a record": 1}
    assert reading.accounted


def test_empty_images_cost_their_record(v2, read):
    root = v2(6, deleted=[4])
    for number in (2, 4):
        (root / "images" / f"{number}_cam_image_array_.jpg").write_bytes(b"")
    reading = read(root)
    assert reading.indices == [0, 1, 3, 5]
    assert reading.skips == {"image is empty": 1, "record is deleted": 1}
    assert reading.warnings == {"image of a record left out: image is empty": 1}
    assert reading.accounted


def test_images_without_a_record_are_counted(v1, v2, read):
    old, new = v1(range(3), "old"), v2(3, folder="new")
    (old / "77_cam-image_array_.jpg").write_bytes(b"x")
    (new / "images" / "77_cam_image_array_.jpg").write_bytes(b"x")
    (new / "images" / "notes.txt").write_bytes(b"x")
    reading = read(old, new)
    assert reading.problems.warnings["image without a record"].examples == [
        "old/77_cam-image_array_.jpg",
        "new/images/77_cam_image_array_.jpg",
    ]
    assert reading.skips == {}


def test_a_clock_that_jumps_is_told_and_does_not_reorder(v2, read, values_of):
    records = [values_of(number) for number in range(6)]
    records[2]["_timestamp_ms"] = 5
    records[4]["_timestamp_ms"] += 10 * 3_600_000
    reading = read(v2(records))
    assert reading.indices == [0, 1, 2, 3, 4, 5]
    assert reading.warnings == {
        "clock goes back: the order of the records counts": 2,
        "clock jumps ahead by more than an hour: the order of the records counts": 2,
    }
    assert reading.problems.warnings["clock goes back: the order of the records counts"].examples[0] == "tub, record 2"


def test_a_new_session_may_be_days_later(v2, read, values_of):
    records = [values_of(number) for number in range(4)]
    for record in records[2:]:
        record.update(_session_id="24-02-01_1", _timestamp_ms=record["_timestamp_ms"] + 7 * 86_400_000)
    assert read(v2(records)).warnings == {}


def test_constant_steering_is_told(v1, v2, values_of, read):
    old = v1(range(3), "old", **{"user/angle": 0.25})
    new = v2([{**values_of(number), "user/angle": 0.0} for number in range(3)], folder="new")
    reading = read(old, new)
    tally = reading.problems.warnings["steering is constant: nothing can be learned from it"]
    assert tally.examples == ["old", "new"]
    assert len(reading.records) == 6


def test_zips_are_read_as_folders_are(v1, v2, zip_folder, read):
    for folder in (v1(range(5), "old"), v2(9, deleted=[2], folder="new")):
        plain, zipped = read(folder), read(zip_folder(folder, f"{folder.name}.zip"))
        assert zipped.indices == plain.indices
        assert zipped.skips == plain.skips
        for one, other in zip(plain.records, zipped.records, strict=True):
            assert (one.angle, one.position, one.image.read()) == (other.angle, other.position, other.image.read())
        assert str(zipped.records[0].image).startswith(f"{folder.name}.zip: ")


def test_same_names_in_several_zips_do_not_overwrite_each_other(v1, zip_folder, read, tmp_path):
    first = zip_folder(v1(range(4), "one/tub", **{"user/angle": -0.5}), "tub.zip")
    second = zip_folder(v1(range(3), "two/tub", **{"user/angle": 0.5}), "tub.zip")
    reading = read(first, second)
    assert [record.angle for record in reading.records] == [-0.5] * 4 + [0.5] * 3
    assert [tub.label for tub in reading.tubs] == ["tub.zip", "tub.zip (2)"]
    channel = tmp_path / "channel"
    channel.mkdir()
    shutil.copy(first, channel / "a.zip")
    shutil.copy(second, channel / "b.zip")
    together = read(channel)
    assert [tub.label for tub in together.tubs] == ["a.zip", "b.zip"]
    assert len(together.records) == 7


def test_tubs_are_found_at_any_depth_and_side_by_side(v1, v2, zip_folder, read, tmp_path):
    v1(range(2), "data/monday/tub_1")
    v2(3, folder="data/tuesday/deep/er/tub_2")
    zip_folder(v2(4, folder="elsewhere/tub_3"), "tub_3.zip", prefix="home/pi/mycar/data/").rename(
        tmp_path / "data" / "wednesday.zip"
    )
    reading = read(tmp_path / "data")
    assert [(tub.label, len(tub.records)) for tub in reading.tubs] == [
        ("data/monday/tub_1", 2),
        ("data/tuesday/deep/er/tub_2", 3),
        ("wednesday.zip: home/pi/mycar/data", 4),
    ]
    assert (reading.skips, reading.warnings) == ({}, {})


def test_several_tubs_in_one_zip(v1, v2, zip_folder, read, tmp_path):
    v1(range(2), "data/a")
    v2(3, folder="data/b")
    reading = read(zip_folder(tmp_path / "data", "all.zip"))
    assert [(tub.label, tub.version, len(tub.records)) for tub in reading.tubs] == [
        ("all.zip: a", 1, 2),
        ("all.zip: b", 2, 3),
    ]


def test_a_zip_made_on_a_mac(v2, zip_folder, read):
    path = zip_folder(v2(4), "tub.zip", prefix="tub/")
    with zipfile.ZipFile(path, "a") as archive:
        for name in (
            "__MACOSX/tub/._catalog_0.catalog",
            "tub/.DS_Store",
            "__MACOSX/tub/images/._0_cam_image_array_.jpg",
        ):
            archive.writestr(name, b"\x00\x05\x16\x07")
    reading = read(path)
    assert [tub.label for tub in reading.tubs] == ["tub.zip: tub"]
    assert reading.indices == [0, 1, 2, 3]
    assert reading.skips == {"file left by a desktop": 3}


def test_a_damaged_member_costs_its_record(v1, zip_folder, read):
    root = v1(range(4))
    path = zip_folder(root, "tub.zip")
    content = bytearray(path.read_bytes())
    content[content.index(b"record_2.json") + len("record_2.json") + 10] ^= 0xFF
    path.write_bytes(content)
    reading = read(path)
    assert reading.indices == [0, 1, 3]
    assert reading.skips == {"record cannot be read: archive member is damaged": 1}
    assert reading.accounted


def test_a_path_given_twice_is_read_once(v2, read, tmp_path):
    root = v2(4)
    (tmp_path / "same").symlink_to(root)
    reading = read(root, root, tmp_path / "same")
    assert len(reading.records) == 4
    assert reading.warnings == {"path was given twice and is read once": 2}


def test_both_versions_in_one_folder_are_two_tubs(v1, v2, read):
    root = v2(4)
    v1(range(3))
    reading = read(root)
    assert [(tub.version, len(tub.records)) for tub in reading.tubs] == [(2, 4), (1, 3)]
    assert len(reading.warnings) == 1
    assert reading.accounted


def test_what_holds_no_tub_is_refused(tmp_path, zip_folder, read):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"No tub found .* Received: .*empty\."):
        read(tmp_path / "empty")
    with pytest.raises(DataError, match="Received: no path"):
        read()
    (tmp_path / "empty" / "manifest.json").write_text('{"task": "drive"}')
    with pytest.raises(DataError, match="No tub found"):
        read(zip_folder(tmp_path / "empty", "bundle.zip"))


def test_a_tub_without_a_usable_record_is_still_a_tub(v1, read):
    reading = read(v1(range(3), **{"user/angle": "left"}))
    assert (len(reading.tubs), reading.records, reading.skips) == (1, [], {"angle is not a number": 3})


def test_one_bad_archive_among_good_ones_is_refused(v2, zip_folder, read, tmp_path):
    path = zip_folder(v2(4, folder="data/tub"), "tub.zip")
    (tmp_path / "data" / "torn.zip").write_bytes(path.read_bytes()[:-40])
    with pytest.raises(ArchiveError, match=r"'torn.zip' is not a whole zip"):
        read(tmp_path / "data")


def test_nothing_is_written_beside_the_data(v1, v2, zip_folder, read, tmp_path):
    v1(range(3), "data/a")
    zip_folder(v2(5, deleted=[9], folder="data/b"), "b.zip")
    (tmp_path / "data" / "b" / "manifest.json").unlink()
    before = tree_digest(tmp_path / "data")
    reading = read(tmp_path / "data")
    for record in reading.records:
        record.image.read()
    assert tree_digest(tmp_path / "data") == before


def test_records_travel_to_other_processes(v2, zip_folder, read):
    (tub,) = read(zip_folder(v2(4), "tub.zip")).tubs
    copy = pickle.loads(pickle.dumps(tub))
    assert copy.records[3].image.read() == tub.records[3].image.read()
    assert copy.records[3].values == tub.records[3].values


def test_tubs_are_recognised_by_their_names_alone(v1, v2, zip_folder, tmp_path):
    assert looks_like_tubs([v1(range(1), "a")])
    assert looks_like_tubs([zip_folder(v2(1, folder="b"), "b.zip", prefix="x/y/")])
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "train.tfrecord").write_bytes(b"x")
    (tmp_path / "other" / "manifest.json").write_text("{}")
    assert not looks_like_tubs([tmp_path / "other"])
    assert not looks_like_tubs([tmp_path / "nowhere"])
    assert looks_like_tubs([tmp_path / "other", tmp_path / "a"])


def test_problems_of_several_reads_add_up(v1):
    problems = Problems()
    root = v1(range(3), **{"user/throttle": None})
    read_tubs([root], problems)
    read_tubs([root], problems)
    assert problems.skips["throttle is not a number"].count == 6
