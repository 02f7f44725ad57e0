import json
from pathlib import Path

import pytest

from trainbox import cli


def test_demo_writes_data_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "deep/tub"
    arguments = ["demo", "drive", str(folder), "--size", "120", "--seed", "3", "--json"]
    assert cli.run(arguments) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["folder"] == str(folder)
    assert said["written"]
    before = sorted(folder.rglob("*"))
    assert before
    assert cli.run(arguments) == 0
    assert sorted(folder.rglob("*")) == before
    assert cli.run([*arguments[:-3], "--seed", "4"]) == 2
    assert str(folder) in capsys.readouterr().err
    assert sorted(folder.rglob("*")) == before
