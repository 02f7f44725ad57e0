"""At whatever system call a writer dies or fails, the folder holds the old files or the new ones."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from trainbox.errors import ExportError
from trainbox.export.staging import recover, seal, staged

OLD = {"model.h5": "old", "only_old.tflite": "old", "saved_model/saved_model.pb": "old", "saved_model/variables/a": "o"}
NEW = {"model.h5": "new", "only_new.keras": "new", "saved_model/saved_model.pb": "new", "saved_model/variables/b": "n"}

# The writer, which is interrupted at its n-th call that changes the folder: killed, or refused by the disk.
WRITER = """
import json, os, signal, sys
from pathlib import Path
from trainbox.export.staging import seal, staged

folder, files, stop_at, how = Path(sys.argv[1]), json.loads(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
changes = 0
inside = False

def interrupt(event, arguments):
    global changes
    writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
    if inside and (writes or event in ("os.rename", "os.mkdir", "os.remove", "os.rmdir")):
        changes += 1
        if changes == stop_at:
            if how == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            raise OSError(28, "No space left on device")

sys.addaudithook(interrupt)
inside = True
try:
    with staged(folder) as incoming:
        for name, content in files.items():
            (incoming / name).parent.mkdir(parents=True, exist_ok=True)
            (incoming / name).write_text(content)
        seal(incoming, json.dumps({"files": files}))
finally:
    inside = False
    print(changes)
"""


def _write(folder: Path, files: dict[str, str], stop_at: int = 0, how: str = "kill") -> int:
    command = [sys.executable, "-c", WRITER, str(folder), json.dumps(files), str(stop_at), how]
    return subprocess.run(command, capture_output=True, timeout=60, check=False).returncode


def _files(folder: Path) -> dict[str, str]:
    found = {p.relative_to(folder).as_posix(): p.read_text() for p in folder.rglob("*") if p.is_file()}
    return {name: content for name, content in found.items() if name != "manifest.json"}


def _visible(folder: Path) -> dict[str, str]:
    """The files, but not those of a folder aside that was left behind."""
    return {name: content for name, content in _files(folder).items() if not name.startswith(".incoming-")}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    assert _write(tmp_path / "model", OLD) == 0
    (tmp_path / "model" / "notes.txt").write_text("mine")
    return tmp_path / "model"


def test_undisturbed(folder: Path) -> None:
    assert _write(folder, NEW) == 0
    assert _files(folder) == {**NEW, "notes.txt": "mine"}
    assert json.loads((folder / "manifest.json").read_text())["files"] == NEW


def test_killed_at_every_change(folder: Path, tmp_path: Path) -> None:
    old_seen, new_seen, number = False, False, 0
    while True:
        number += 1
        trial = tmp_path / f"killed{number}"
        subprocess.run(["cp", "-r", folder, trial], check=True)
        status = _write(trial, NEW, number)
        if status == 0:
            break
        assert status == -signal.SIGKILL
        if (trial / "manifest.json").exists():  # a manifest never stands beside files that are not its own
            listed = json.loads((trial / "manifest.json").read_text())["files"]
            assert listed.items() <= _visible(trial).items()
        recover(trial)
        listed = json.loads((trial / "manifest.json").read_text())["files"]
        assert _files(trial) == {**listed, "notes.txt": "mine"}
        old_seen, new_seen = old_seen or listed == OLD, new_seen or listed == NEW
    assert old_seen and new_seen and number > 15


def test_failing_at_every_change_keeps_what_stood(folder: Path, tmp_path: Path) -> None:
    failures = 0
    for number in range(1, 32):
        trial = tmp_path / f"failed{number}"
        subprocess.run(["cp", "-r", folder, trial], check=True)
        status = _write(trial, NEW, number, "fail")
        failures += status
        # A call whose failure does not matter, such as making a folder that exists, must not stop the writer either.
        assert _visible(trial) == {**(OLD if status else NEW), "notes.txt": "mine"}
        assert json.loads((trial / "manifest.json").read_text())["files"] == (OLD if status else NEW)
        if status:
            assert _files(trial) == _visible(trial)
    assert failures > 10


def test_a_failure_leaves_no_folder_where_there_was_none(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="Free some space"), staged(tmp_path / "model"):
        raise OSError(28, os.strerror(28))
    assert list(tmp_path.iterdir()) == []


def test_two_writers_at_once(folder: Path) -> None:
    with staged(folder) as incoming:
        with pytest.raises(ExportError, match="being written by another process"), staged(folder):
            raise AssertionError("entered")
        (incoming / "model.h5").write_text("first")
        seal(incoming, json.dumps({"files": {"model.h5": ""}}))
    assert _files(folder) == {"model.h5": "first", "notes.txt": "mine"}


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ExportError, match=r"Model folder .*file"), staged(tmp_path / "file"):
        raise AssertionError("entered")
