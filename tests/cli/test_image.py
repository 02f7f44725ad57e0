"""``trainbox image``: what it prints, writes and exits with."""

import json
from pathlib import Path

import pytest

from docker_images import ROOT, base_image, made_from
from trainbox import cli
from trainbox.tasks import get

pytestmark = pytest.mark.slow


def test_build_says_sizes_and_writes_what_the_image_holds(
    serve_image: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base, network = base_image()
    arguments = ["--target", "serve", "--repository", "trainbox-test", "--base-image", base, "--source", str(ROOT)]
    arguments += ["--network", network] if network else []
    assert cli.run(["image", "build", *arguments, "--sbom", str(tmp_path), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["base_image"] == base
    assert [one["image"] for one in said["images"]] == [serve_image]
    assert 50e6 < said["images"][0]["bytes_over_base"] < said["images"][0]["bytes"]
    assert json.loads((tmp_path / "trainbox-test-serve.cdx.json").read_text())["bomFormat"] == "CycloneDX"
    assert cli.run(["image", "build", *arguments]) == 0
    header, first, second = capsys.readouterr().out.splitlines()
    assert header.split() == ["image", "MB", "over", "its", "base"]
    assert first.startswith(base) and second.startswith(serve_image)


def test_test_prints_a_table_and_fails_where_something_does_not_hold(
    serve_image: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An image that cannot train, for it has no TensorFlow."""
    get("drive").write_demo(tmp_path / "tub", 0, 60)
    arguments = [serve_image, "--data", str(tmp_path / "tub"), "-p", "epochs=1", "--only", "train"]
    assert cli.run(["image", "test", *arguments, "--json"]) == 1
    holds = {one["point"]: one["holds"] for one in json.loads(capsys.readouterr().out)["findings"]}
    assert holds["image: entry point in exec form"] and holds["train: says why in output/failure"]
    assert not holds["train data: ends with status 0"] and not holds["train data: leaves a model"]
    assert cli.run(["image", "test", *arguments]) == 1
    said = capsys.readouterr()
    assert "FAILS  train data: leaves a model" in said.err
    assert said.out.count("FAILS") == said.err.count("FAILS")


def test_test_is_content_with_an_image_that_keeps_the_contract(
    serve_image: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    foreign = Path(__file__).parents[1] / "platforms/conformance/foreign.py"
    (tmp_path / "site").mkdir()
    (tmp_path / "site/foreign.py").write_bytes(foreign.read_bytes())
    (tmp_path / "data").mkdir()
    (tmp_path / "data/a.jpg").write_bytes(b"a picture to someone")
    tag = made_from(
        serve_image, tmp_path / "site", 'COPY foreign.py /\nENTRYPOINT ["python3", "/foreign.py"]\n', "sound"
    )
    arguments = ["--data", f"train={tmp_path / 'data'}", "-p", "epochs=100"]
    assert cli.run(["image", "test", tag, *arguments]) == 0, capsys.readouterr().out
