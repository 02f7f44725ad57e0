import dataclasses
import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from opt_ml import tree_digest
from trainbox.errors import DataError
from trainbox.tasks.drive.check import check


def picture(size: tuple[int, int] = (16, 12)) -> bytes:
    content = io.BytesIO()
    Image.new("RGB", size, (10, 20, 30)).save(content, "JPEG")
    return content.getvalue()


@pytest.fixture
def tub(tmp_path: Path):
    """Write a tub of ten records, two sessions, two drive modes; two deleted; images as given by number."""

    def write(images: dict[int, bytes] | None = None) -> Path:
        root = tmp_path / "tub"
        (root / "images").mkdir(parents=True)
        lines = []
        for number in range(10):
            name = f"{number}_cam_image_array_.jpg"
            (root / "images" / name).write_bytes((images or {}).get(number, picture()))
            values = {
                "_index": number,
                "_session_id": "a" if number < 6 else "b",
                "_timestamp_ms": 1_000_000 + 50 * number,
                "cam/image_array": name,
                "user/angle": number / 5 - 1,
                "user/throttle": 0.25,
                "user/mode": "user" if number < 8 else "local",
                "pilot/angle": 0.9,
            }
            lines.append(json.dumps(values) + "\n")
        (root / "catalog_0.catalog").write_text("".join(lines))
        manifest = [[], [], {}, {}, {"paths": ["catalog_0.catalog"], "deleted_indexes": [1, 2]}]
        (root / "manifest.json").write_text("".join(json.dumps(line) + "\n" for line in manifest))
        return root

    return write


def test_says_what_is_in_a_tub(tub):
    report = check([tub()])
    assert report.usable == 8
    assert report.data["records"] == {"found": 10, "usable": 8, "left_out": 2}
    assert report.data["tubs"] == [{"tub": "tub", "version": 2, "found": 10, "read": 8, "sessions": 2}]
    assert report.data["sessions"] == 2
    # The images of deleted records are looked at too.
    assert report.data["images"] == {"decodable": 10, "unreadable": 0, "sizes": {"16x12": 10}}
    assert report.data["drive_modes"] == {"user": 6, "local": 2}
    assert report.data["records_per_second"] == 20.0
    assert report.data["other_values"] == {"pilot/angle": 8}
    assert report.problems.as_dict() == {
        "skipped": {
            "record is deleted": {
                "count": 2,
                "examples": ["tub/catalog_0.catalog, line 2", "tub/catalog_0.catalog, line 3"],
            }
        },
        "warnings": {},
    }


def test_histograms_count_every_usable_record(tub):
    data = check([tub()]).data
    angle = data["angle"]
    assert (angle["minimum"], angle["maximum"]) == (-1.0, 0.8)
    assert angle["mean"] == pytest.approx(np.mean([number / 5 - 1 for number in (0, 3, 4, 5, 6, 7, 8, 9)]), abs=1e-4)
    assert len(angle["histogram"]) == 15
    assert sum(bar["count"] for bar in angle["histogram"]) == 8
    assert [bar["count"] for bar in data["throttle"]["histogram"] if bar["from"] <= 0.25 < bar["to"]] == [8]


def test_unreadable_images_cost_their_record(tub):
    images = {0: b"", 1: b"", 2: b"<html>", 3: picture()[:300], 4: b"version https://git-lfs.github.com/spec/v1"}
    report = check([tub(images)])
    assert report.usable == 5
    assert report.data["images"]["unreadable"] == 5
    assert {reason: tally.count for reason, tally in report.problems.skips.items()} == {
        "record is deleted": 2,
        "image is empty": 1,
        "image is truncated": 1,
        "image is a Git LFS pointer": 1,
    }
    assert {reason: tally.count for reason, tally in report.problems.warnings.items()} == {
        "image of a record left out: image is empty": 1,
        "image of a record left out: image is an HTML or XML page": 1,
    }
    records = report.data["records"]
    assert records["found"] == report.usable + report.problems.skipped


def test_mixed_sizes_are_told(tub):
    report = check([tub({5: picture((32, 24)), 6: picture((32, 24))})])
    assert report.usable == 8
    assert report.data["images"]["sizes"] == {"16x12": 8, "32x24": 2}
    assert report.problems.warnings["images are of several sizes: training resizes them to one"].count == 10


def test_nothing_usable_is_reported_and_not_raised(tub):
    report = check([tub(dict.fromkeys(range(10), b""))])
    assert report.usable == 0
    assert report.data["angle"] == {}
    assert report.data["records_per_second"] is None
    titles = [section.title for section in report.sections]
    assert titles == ["Tubs", "Records", "Images"]


def test_no_tub_is_refused(tmp_path: Path):
    with pytest.raises(DataError, match="No tub found"):
        check([tmp_path])


def test_the_report_is_json_and_its_sections_are_text(tub):
    report = check([tub()])
    assert json.loads(json.dumps(report.data)) == report.data
    for section in report.sections:
        assert all(isinstance(part, str) for row in section.rows for part in row)
        assert dataclasses.is_dataclass(section)
    bars = {section.title: section.histogram for section in report.sections if section.histogram}
    assert set(bars) == {"Angle (-1 left, 1 right)", "Throttle"}


PROGRAM = """
import sys
from pathlib import Path
from trainbox.tasks.drive.check import check
check([Path(sys.argv[1])])
print(sorted(set(sys.modules) & {"tensorflow", "keras", "jax"}))
"""


def test_the_data_is_left_as_it_was_and_no_framework_is_loaded(tub):
    root = tub({3: b""})
    before = tree_digest(root)
    answer = subprocess.run([sys.executable, "-c", PROGRAM, root], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"
    assert tree_digest(root) == before
