"""The demo tub is one that donkeycar itself reads, and goes on recording into."""

import json
from pathlib import Path

import pytest

from trainbox.tasks.drive.demo import write_tub

RECORDS = 200


@pytest.mark.slow
@pytest.mark.parametrize("name", ["5.3", "5.4"])
def test_donkeycar_reads_the_demo_tub_and_records_into_it(name: str, car, tmp_path: Path) -> None:
    write_tub(tmp_path / "tub", seed=1, records=RECORDS)
    deleted = set(json.loads((tmp_path / "tub" / "manifest.json").read_text().splitlines()[4])["deleted_indexes"])
    answer = car(name).run("read_tub.py", {"tub": tmp_path / "tub"})
    assert answer["length"] == RECORDS - len(deleted)
    indexes = [record["_index"] for record in answer["records"]]
    assert len(indexes) == RECORDS - len(deleted) - 2, "all but the two torn lines"
    assert set(indexes).isdisjoint(deleted)
    assert answer["inputs"][:4] == ["cam/image_array", "user/angle", "user/throttle", "user/mode"]
    assert answer["last"]["_index"] == RECORDS
    assert answer["last"]["user/angle"] == 0.5
    assert answer["last"]["_session_id"].endswith("_2")
