"""``trainbox convert`` and the contact sheet of ``check``, as a user runs them."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from trainbox import cli


def test_what_is_written_is_read_again(
    demo_data: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, records = str(demo_data("detect")), tmp_path / "records"
    assert cli.run(["convert", data, str(records)]) == 0
    said = capsys.readouterr()
    assert said.out.startswith("Wrote images (") and str(records) in said.out
    assert "Left out: image is empty (1, first: " in said.err
    assert cli.run(["check", str(records), "--json"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert cli.run(["check", data, "--json"]) == 0
    before = json.loads(capsys.readouterr().out)
    assert (again["usable"], again["classes"]) == (before["usable"], before["classes"])


def test_result_is_json(demo_data: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["convert", str(demo_data("detect")), str(tmp_path / "out"), "--json"]) == 0
    said = capsys.readouterr()
    told = json.loads(said.out)
    assert told["folder"] == str(tmp_path / "out") and "image is empty" in told["skipped"]
    assert not said.err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["convert", "DETECT", "TAKEN"], "need a new or empty folder"),
        (["convert", "DETECT", "NEW", "--data-format", "coco"], "No detection data set found in the format 'coco'"),
        (["convert", "DRIVE", "NEW"], "Tubs are not written as TFRecords"),
        (["convert", "NOWHERE", "NEW"], "does not exist"),
        (["check", "DRIVE", "--sheet", "NEW"], "have no boxes to draw"),
        (["check", "DETECT", "--sheet", "TAKEN/mine.txt"], "exists already"),
        (["check", "DETECT", "--sheet", "NEW/deep/sheet.png"], "cannot be written"),
    ],
)
def test_refused(
    arguments: list[str],
    says: str,
    demo_data: Callable[[str], Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken/mine.txt").write_text("mine")
    known = {"DETECT": demo_data("detect"), "DRIVE": demo_data("drive"), "TAKEN": tmp_path / "taken"}
    known |= {"TAKEN/mine.txt": tmp_path / "taken/mine.txt", "NEW": tmp_path / "new", "NOWHERE": tmp_path / "nowhere"}
    known |= {"NEW/deep/sheet.png": tmp_path / "new/deep/sheet.png"}
    assert cli.run([str(known.get(argument, argument)) for argument in arguments]) == 2
    said = capsys.readouterr()
    assert says in said.err and said.err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]
    assert (tmp_path / "taken/mine.txt").read_text() == "mine"


def test_the_sheet_is_drawn(
    demo_data: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sheet = tmp_path / "sheet.png"
    assert cli.run(["check", str(demo_data("detect")), "--sheet", str(sheet)]) == 0
    assert "contact sheet" in capsys.readouterr().out
    with Image.open(sheet) as drawn:
        assert drawn.width > 1000
