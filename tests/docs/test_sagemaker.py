"""docs/sagemaker.md is run from top to bottom in an AWS of the tests: from an empty account and back to nothing."""

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from amazon.aws import Aws
from docker_images import ROOT
from docs.page import Place, blocks
from serving.conftest import picture
from trainbox import cli

PAGE = (ROOT / "docs/sagemaker.md").read_text()
BLOCKS = blocks(PAGE)
ELSEWHERE = {"install", "image"}
"""Packages are those under test; pushes are tried in tests/platforms/sagemaker/test_registry.py."""


def commands() -> list[list[str]]:
    return [line.split() for block in BLOCKS.values() for line in block.text.splitlines()]


def test_every_command_and_option_of_the_page_is_one(capsys: pytest.CaptureFixture[str]) -> None:
    for words in commands():
        if words[0] != "trainbox":
            continue
        name = words[1:3] if words[1] == "image" else words[1:2]
        assert cli.run([*name, "--help"]) == 0
        said = {word.strip(",") for word in capsys.readouterr().out.split()}
        for word in words:
            assert not word.startswith("--") or word in said, f"{words}: {word}"


def test_pages_it_names_are_there() -> None:
    import re

    links = re.findall(r"\]\(([^)#:]+)\)", PAGE)
    assert links and [link for link in links if not (ROOT / "docs" / link).exists()] == []


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_from_an_empty_account_to_an_answer_and_back(
    aws: Aws, tmp_path: Path, demo_data: Callable[[str], Path]
) -> None:
    folder = tmp_path / "desk"
    folder.mkdir()
    shutil.make_archive(str(folder / "tub"), "zip", demo_data("drive"))
    (folder / "frame.jpg").write_bytes(picture(160, 120))
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    short = {"--name first-lap": "-p epochs=1 -p quantize=false --name first-lap"}
    place = Place(folder, BLOCKS, short, {"PATH": path, "XDG_CACHE_HOME": str(tmp_path)})
    place.run("init")
    settings = (folder / "trainbox.toml").read_text()
    assert "role" in settings and "bucket" in settings
    # What image push --save writes; and another bucket: that of init refuses whoever comes without TLS, as we do.
    aws.settings(folder)
    for name in BLOCKS:
        if name not in {*ELSEWHERE, "init"}:
            place.run(name)
    assert (folder / "pilot/manifest.json").read_bytes() == (folder / "pilot-again/manifest.json").read_bytes()
    assert aws.client("sagemaker").list_endpoints()["Endpoints"] == []
    assert aws.client("sagemaker").list_models()["Models"] == []
