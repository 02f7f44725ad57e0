"""``trainbox predict`` as a user runs it."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from opt_ml import Trained
from trainbox import cli
from trainbox.cli.predict import find_pictures, name_drawings
from trainbox.errors import DataError, UsageError


def picture(path: Path, level: int = 90) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (160, 120), (level, level, level)).save(path)
    return path


@pytest.fixture
def model(trained: Callable[[str], Trained]) -> str:
    return str(trained("drive").folder.model)


def test_each_picture_is_answered_on_a_line(model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = picture(tmp_path / "a.png"), picture(tmp_path / "b.jpg", 200)
    assert cli.run(["predict", model, str(first), str(second), "--json"]) == 0
    answers = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [answer["file"] for answer in answers] == [str(first), str(second)]
    assert all(np.isfinite([answer["angle"], answer["throttle"]]).all() for answer in answers)
    assert cli.run(["predict", model, str(first)]) == 0
    assert capsys.readouterr().out.startswith(f"{first}: angle ")


def test_answers_are_drawn_and_pictures_left_as_they_are(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    original = picture(tmp_path / "in/a.jpg")
    before = original.read_bytes()
    arguments = ["predict", model, str(tmp_path / "in"), "--draw", str(tmp_path / "out"), "--json"]
    assert cli.run(arguments) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["drawn"] == str(tmp_path / "out/a.jpg")
    with Image.open(answer["drawn"]) as drawn:
        assert drawn.size == (480, 360), "small pictures are enlarged, so that there is room to draw"
        assert len(drawn.getcolors(1 << 20) or []) > 50
    assert original.read_bytes() == before
    assert cli.run(arguments) == 2
    assert "exists already" in capsys.readouterr().err
    assert cli.run([*arguments, "--overwrite"]) == 0


def test_unreadable_pictures_are_said_and_passed_over(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty.jpg").touch()
    assert cli.run(["predict", model, str(tmp_path / "empty.jpg"), str(picture(tmp_path / "whole.jpg"))]) == 1
    said = capsys.readouterr()
    assert said.err == f"{tmp_path / 'empty.jpg'} cannot be read: image is empty.\n"
    assert len(said.out.splitlines()) == 1


def test_a_pilot_has_no_scores_to_compare_with_a_threshold(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["predict", model, str(picture(tmp_path / "a.jpg")), "--threshold", "0.5"]) == 2
    assert "have no scores" in capsys.readouterr().err


def test_folders_stand_for_the_pictures_below_them(tmp_path: Path) -> None:
    pictures = [picture(tmp_path / "a/1.jpg"), picture(tmp_path / "a/deep/2.PNG")]
    (tmp_path / "a/notes.txt").touch()
    assert find_pictures([tmp_path / "a", pictures[0]]) == [*pictures, pictures[0]]
    (tmp_path / "none").mkdir()
    with pytest.raises(DataError, match="holds no picture"):
        find_pictures([tmp_path / "none"])
    with pytest.raises(DataError, match="does not exist"):
        find_pictures([tmp_path / "nowhere.jpg"])


def test_no_drawing_takes_the_place_of_another_or_of_a_picture(tmp_path: Path) -> None:
    pictures = [picture(tmp_path / "a/1.jpg"), picture(tmp_path / "b/1.png")]
    assert [path.name for path in name_drawings(pictures, tmp_path / "out", False).values()] == ["1.jpg", "1-2.jpg"]
    with pytest.raises(UsageError, match="one of the pictures asked about"):
        name_drawings(pictures, tmp_path / "a", True)
