import errno
import os
import resource
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from trainbox.errors import CheckpointError
from trainbox.training.checkpoint import KEPT, TEMPORARY, CheckpointFolder

STAGES = [
    f"{kind} {stage}"
    for kind in ("npz", "json")
    for stage in ("opened", "piece written", "synced", "renamed", "settled")
]


def arrays(value: float) -> dict[str, np.ndarray]:
    return {"trainable/0": np.full((600, 600), value, np.float32), "other/0": np.array([1, 2], np.uint32)}


def value_of(folder: CheckpointFolder) -> float | None:
    newest = folder.newest()
    return None if newest is None else float(newest.arrays["trainable/0"][5, 5])


def test_gives_back_what_was_written(tmp_path: Path):
    folder = CheckpointFolder(tmp_path, "job")
    facts = {"epoch": 3, "best_loss": 0.1 + 0.2, "epochs": [{"loss": 1e-300}], "stopped": None}
    folder.write(arrays(0.5), facts)
    newest = CheckpointFolder(tmp_path, "job").newest()
    assert newest is not None
    assert newest.facts == facts
    assert newest.arrays.keys() == arrays(0).keys()
    for name, array in arrays(0.5).items():
        assert newest.arrays[name].dtype == array.dtype
        np.testing.assert_array_equal(newest.arrays[name], array)


def test_an_empty_folder_has_none(tmp_path: Path):
    assert CheckpointFolder(tmp_path / "new" / "folder", "job").newest() is None


def test_two_are_kept(tmp_path: Path):
    folder = CheckpointFolder(tmp_path, "job")
    for value in range(5):
        folder.write(arrays(value), {})
    assert len(list(tmp_path.iterdir())) == KEPT * 2
    assert value_of(folder) == 4


@pytest.mark.parametrize("kind", ["npz", "json"])
@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(path.read_bytes()[:-7]),
        lambda path: path.write_bytes(b""),
        lambda path: path.unlink(),
        lambda path: path.write_bytes(path.read_bytes()[:40] + b"?" + path.read_bytes()[41:]),
    ],
)
def test_a_damaged_one_gives_way_to_the_one_before(kind: str, damage, tmp_path: Path):
    folder = CheckpointFolder(tmp_path, "job")
    folder.write(arrays(1), {})
    folder.write(arrays(2), {})
    damage(max(tmp_path.glob(f"*.{kind}")))
    again = CheckpointFolder(tmp_path, "job")
    assert value_of(again) == 1
    again.write(arrays(3), {})
    again.write(arrays(4), {})
    assert value_of(again) == 4
    assert len(list(tmp_path.iterdir())) == KEPT * 2


def test_the_good_one_is_not_removed_in_favour_of_a_damaged_one(tmp_path: Path):
    folder = CheckpointFolder(tmp_path, "job")
    folder.write(arrays(1), {})
    folder.write(arrays(2), {})
    max(tmp_path.glob("*.npz")).write_bytes(b"damaged")
    again = CheckpointFolder(tmp_path, "job")
    assert value_of(again) == 1
    again.write(arrays(3), {})
    max(tmp_path.glob("*.npz")).write_bytes(b"damaged as well")
    assert value_of(CheckpointFolder(tmp_path, "job")) == 1


def test_jobs_that_share_a_folder_leave_each_other_alone(tmp_path: Path):
    one, other = CheckpointFolder(tmp_path, "one"), CheckpointFolder(tmp_path, "other")
    one.write(arrays(1), {})
    assert other.newest() is None
    assert other.others() == 1
    for value in range(4):
        other.write(arrays(10 + value), {})
    assert value_of(one) == 1


def test_files_of_others_stay(tmp_path: Path):
    (tmp_path / "mine.txt").write_text("keep")
    (tmp_path / "checkpoint-1.npz").write_text("keep")
    folder = CheckpointFolder(tmp_path, "job")
    for value in range(4):
        folder.write(arrays(value), {})
    assert (tmp_path / "mine.txt").read_text() == (tmp_path / "checkpoint-1.npz").read_text() == "keep"


def test_every_stage_is_told_in_order(tmp_path: Path):
    seen: list[str] = []
    CheckpointFolder(tmp_path, "job", seen.append).write(arrays(1), {})
    assert list(dict.fromkeys(seen)) == STAGES


@pytest.mark.parametrize("stage", STAGES)
def test_a_full_disk_at_any_stage_keeps_the_one_before(stage: str, tmp_path: Path):
    CheckpointFolder(tmp_path, "job").write(arrays(1), {})

    def fail(reached: str) -> None:
        if reached == stage:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(CheckpointError, match="No space left on device") as raised:
        CheckpointFolder(tmp_path, "job", fail).write(arrays(2), {})
    assert "\n" not in str(raised.value)
    assert value_of(CheckpointFolder(tmp_path, "job")) in ({1, 2} if stage in STAGES[-2:] else {1})
    CheckpointFolder(tmp_path, "job").write(arrays(3), {})
    assert not list(tmp_path.glob(f"*{TEMPORARY}"))


def test_a_disk_that_is_really_full_keeps_the_one_before(tmp_path: Path):
    folder = CheckpointFolder(tmp_path, "job")
    folder.write(arrays(1), {})
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))
    try:
        with pytest.raises(CheckpointError, match="kept"):
            folder.write(arrays(2), {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert value_of(folder) == 1
    assert not list(tmp_path.glob(f"*{TEMPORARY}"))


def test_a_folder_that_cannot_be_written_is_said_at_once(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match="cannot be written"):
        CheckpointFolder(tmp_path / "file" / "checkpoints", "job")


KILLED = """
    import os, signal, sys
    from pathlib import Path
    import numpy as np
    from trainbox.training.checkpoint import CheckpointFolder

    def kill(reached):
        if reached == sys.argv[2]:
            os.kill(os.getpid(), signal.SIGKILL)

    arrays = {"trainable/0": np.full((600, 600), 3, np.float32)}
    CheckpointFolder(Path(sys.argv[1]), "job", kill).write(arrays, {})
"""


@pytest.mark.parametrize("stage", [*STAGES, "json pruned", "npz pruned"])
def test_killed_at_any_stage_a_whole_one_is_left(stage: str, tmp_path: Path):
    folder = CheckpointFolder(tmp_path, "job")
    folder.write(arrays(1), {})
    folder.write(arrays(2), {})
    killed = subprocess.run([sys.executable, "-c", textwrap.dedent(KILLED), tmp_path, stage], check=False)
    assert killed.returncode == -signal.SIGKILL
    landed = stage in ("json renamed", "json settled", "json pruned", "npz pruned")
    assert value_of(CheckpointFolder(tmp_path, "job")) == (3 if landed else 2)
    CheckpointFolder(tmp_path, "job").write(arrays(4), {})
    assert value_of(CheckpointFolder(tmp_path, "job")) == 4
    assert len(list(tmp_path.iterdir())) == KEPT * 2
