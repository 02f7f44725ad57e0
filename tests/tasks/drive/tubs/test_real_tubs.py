"""Real tubs, counted by hand once: what is in them, and where the rest went."""

import os
from pathlib import Path

import pytest

from opt_ml import tree_digest
from trainbox.tasks.drive.check import check

DATA = os.environ.get("TRAINBOX_TEST_DATA", "")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not DATA, reason="TRAINBOX_TEST_DATA does not name a folder of real tubs"),
]

USABLE = {"tub_v1_austin.zip": 3983, "tub_v2_yuki": 5854, "tub_v2_small": 1000, "v2_tdchen_imu": 2391}


@pytest.mark.parametrize("name", USABLE)
def test_whole_tubs_are_used_whole(name: str):
    report = check([Path(DATA, name)])
    assert report.usable == report.data["records"]["found"] == USABLE[name]
    assert report.data["images"]["unreadable"] == 0
    assert report.problems.skips == {}


def test_the_tub_with_empty_images_and_deleted_records():
    path = Path(DATA, "v2_fpineau_zerobyte")
    before = tree_digest(path)
    report = check([path])
    assert tree_digest(path) == before
    assert report.data["images"]["unreadable"] == 289
    assert report.data["images"]["sizes"] == {"160x96": 2126}
    skips = {reason: tally.count for reason, tally in report.problems.skips.items()}
    # Of the 289 empty images 100 belong to records that are deleted as well.
    assert skips == {"record is deleted": 300, "image is empty": 189}
    assert report.problems.warnings["image of a record left out: image is empty"].count == 100
    assert report.usable == 1926
    assert report.usable + report.problems.skipped == report.data["records"]["found"] == 2415


def test_the_deleted_records_are_those_the_driver_erased():
    # After 100 records were erased the driver took 4 s to be on the track again: the gap in time follows record 1257.
    from trainbox.data.problems import Problems
    from trainbox.tasks.drive.tubs import read_tubs

    (tub,) = read_tubs([Path(DATA, "v2_fpineau_zerobyte")], Problems())
    kept = {record.index for record in tub.records}
    assert kept.isdisjoint(range(1158, 1258))
    assert {1157, 1258} <= kept


def test_values_beside_the_commands_are_kept():
    report = check([Path(DATA, "v2_tdchen_imu")])
    axes = [f"imu/{sensor}_{axis}" for sensor in ("acl", "gyr") for axis in "xyz"]
    assert report.data["other_values"] == dict.fromkeys(axes, 2391)


def test_several_tubs_at_once():
    report = check([Path(DATA, name) for name in USABLE])
    assert report.usable == sum(USABLE.values())
    assert len(report.data["tubs"]) == len(USABLE)
