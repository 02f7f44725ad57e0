"""The README tells the truth: its commands run, one after the other, and the files it names are there."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```sh\n(.*?)^```", TEXT, flags=re.DOTALL | re.MULTILINE)
COMMANDS = [line.split() for block in BLOCKS for line in block.splitlines()]


def run(arguments: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "trainbox", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=900, check=False)


def test_make_targets_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    named = set(re.findall(r"make ([a-z]+)", TEXT))
    assert {"demo", "test"} <= named <= targets


@pytest.mark.parametrize("name", ["CONTRIBUTING.md", "CHANGELOG.md", "README.md", "ARCHITECTURE.md"])
def test_links_between_pages_lead_somewhere(name: str) -> None:
    page = ROOT / name
    broken = [link for link in re.findall(r"\]\(([^)#:]+)\)", page.read_text()) if not (ROOT / link).exists()]
    assert broken == []


def test_licence_is_the_whole_apache_licence() -> None:
    text = (ROOT / "LICENSE").read_text()
    assert "Apache License" in text
    assert "END OF TERMS AND CONDITIONS" in text


def test_every_command_of_the_table_is_one(tmp_path: Path) -> None:
    named = set(re.findall(r"^\| `trainbox ([a-z]+)", TEXT, flags=re.MULTILINE))
    assert named >= {"demo", "check", "convert", "train", "evaluate", "predict", "export"}
    for name in sorted(named):
        assert run([name, "--help"], tmp_path).returncode == 0


@pytest.mark.slow
def test_commands_run_in_order(tmp_path: Path) -> None:
    ours = [command[1:] for command in COMMANDS if command[0] == "trainbox"]
    assert [command[0] for command in ours] == [
        *("demo", "check", "train", "evaluate", "export"),
        *("demo", "check", "train", "evaluate", "predict", "export"),
    ]
    for arguments in ours:
        done = run(arguments, tmp_path)
        assert done.returncode == 0, f"trainbox {' '.join(arguments)}: {done.stderr[-2000:]}"
    listed = set(re.findall(r"^\| `([\w./]+)`", TEXT, flags=re.MULTILINE))
    assert {"model.tflite", "model_quantized.tflite", "model.h5", "report.html", "manifest.json"} <= listed
    assert [name for name in listed if not (tmp_path / "pilot" / name).exists()] == []
    assert (tmp_path / "pilot-small.tflite").stat().st_size > 100_000
    assert (tmp_path / "detector-small.tflite").stat().st_size > 1_000_000
    for name in ("detector/labels.txt", "detector/model_quantized.tflite", "photos.png", "seen/shapes-0100.jpg"):
        assert (tmp_path / name).stat().st_size > 0
