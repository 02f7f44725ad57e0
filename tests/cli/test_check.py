"""``trainbox check`` as a user runs it."""

import io
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from rich.console import Console

from trainbox.cli.check import as_dict, rendered
from trainbox.data.problems import Problems
from trainbox.tasks import CheckReport, Section


def trainbox(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "trainbox", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "COLUMNS": "100"},
    )


def text_of(report: CheckReport) -> str:
    written = io.StringIO()
    Console(width=100, file=written).print(rendered(report))
    return written.getvalue()


@pytest.fixture
def report() -> CheckReport:
    problems = Problems()
    for number in range(30):
        problems.skip("image is empty", f"tub/{number}.jpg")
    problems.warn("clock goes back", "tub, record [7]")
    sections = [
        Section("Records", [("found", "1,030"), ("usable", "1,000")]),
        Section("Angle", [("mean", "+0.010")], [("-1 to 0", 250), ("0 to +1", 750), ("beyond", 0)]),
    ]
    return CheckReport(1000, problems, sections, {"records": {"found": 1030}})


def test_sections_histograms_and_problems_are_shown(report: CheckReport):
    lines = [line.rstrip() for line in text_of(report).splitlines()]
    assert lines[:3] == ["Records", "  found   1,030", "  usable  1,000"]
    bars = {
        name: next(line for line in lines if line.startswith(f"  {name}")) for name in ("-1 to 0", "0 to +1", "beyond")
    }
    assert {name: line.count("█") for name, line in bars.items()} == {"-1 to 0": 13, "0 to +1": 40, "beyond": 0}
    start = lines.index("Left out")
    assert lines[start + 1 : start + 5] == [
        "30  image is empty",
        "    tub/0.jpg",
        "    tub/1.jpg",
        "    tub/2.jpg",
    ]
    # Names are shown as they are, whatever rich would make of them.
    assert lines[lines.index("Warnings") + 2] == "   tub, record [7]"


def test_no_problems_are_said_too():
    assert "No problems found." in text_of(CheckReport(1, Problems(), [Section("Records", [("found", "1")])]))


def test_json_holds_counts_and_the_first_twenty_examples(report: CheckReport):
    told = json.loads(json.dumps(as_dict("drive", report)))
    assert told["task"] == "drive"
    assert told["usable"] == 1000
    assert told["records"] == {"found": 1030}
    assert told["skipped"]["image is empty"]["count"] == 30
    assert len(told["skipped"]["image is empty"]["examples"]) == 20
    assert told["warnings"]["clock goes back"] == {"count": 1, "examples": ["tub, record [7]"]}


def test_a_demo_data_set_is_checked(demo_data):
    folder = demo_data("drive")
    shown = trainbox("check", folder)
    assert shown.returncode == 0, shown.stderr
    assert "Drive modes" in shown.stdout
    told = trainbox("check", folder, "--json")
    assert told.returncode == 0
    data = json.loads(told.stdout)
    assert data["usable"] > 100
    assert data["records"]["found"] == data["usable"] + data["records"]["left_out"]


def tub(folder: Path, image: bytes) -> Path:
    folder.mkdir()
    values = {"user/angle": 0.1, "user/throttle": 0.2, "cam/image_array": "1_cam-image_array_.jpg"}
    (folder / "record_1.json").write_text(json.dumps(values))
    (folder / "1_cam-image_array_.jpg").write_bytes(image)
    return folder


@pytest.mark.parametrize("flags", [[], ["--json"], ["--task", "drive"]])
def test_status_2_and_the_reasons_where_nothing_is_usable(tmp_path: Path, flags: list[str]):
    answer = trainbox("check", tub(tmp_path / "tub", b""), *flags)
    assert answer.returncode == 2
    assert "image is empty" in answer.stdout
    assert answer.stderr.splitlines() == ["Nothing usable is left of the data. See what was left out, and why, above."]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: None, "does not exist"),
        (lambda path: path.write_bytes(b"PK\x03\x04torn"), "is not a whole zip"),
        (lambda path: path.write_bytes(b""), "is not a whole zip"),
        (lambda path: zipfile.ZipFile(path, "w").close(), "No task fits this data alone. Received: "),
    ],
    ids=["missing", "torn", "empty", "no data"],
)
def test_refusals_are_one_line_and_status_2(tmp_path: Path, make, said: str):
    path = tmp_path / "tub.zip"
    make(path)
    answer = trainbox("check", path)
    assert answer.returncode == 2
    assert answer.stdout == ""
    assert len(answer.stderr.splitlines()) == 1
    assert said in answer.stderr


def test_the_help_has_an_example():
    answer = trainbox("check", "--help")
    assert answer.returncode == 0
    assert "Example: trainbox check tub.zip" in answer.stdout
