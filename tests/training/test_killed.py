"""The proof of exact resume: killed at random steps and at every write, the weights come out the same."""

import random
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

PROGRAM = Path(__file__).with_name("killed_run.py")
# Each stage of both files, and of removing old ones once there are some.
WRITING = ("opened", "piece written", "synced", "renamed", "settled")
STAGES = [f"{kind} {stage}" for kind in ("npz", "json") for stage in WRITING]
STAGES += ["json pruned", "npz pruned"]


GOES_ON = "Training goes on from a checkpoint"


def run(folder: Path, out: Path, *how: str) -> tuple[int, str]:
    command = [sys.executable, str(PROGRAM), str(folder), str(out), *how]
    process = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert process.returncode in (0, -signal.SIGKILL), process.stderr[-3000:]
    return process.returncode, process.stdout


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> list[np.ndarray]:
    folder = tmp_path_factory.mktemp("undisturbed")
    status, said = run(folder / "checkpoints", folder / "weights.npz")
    assert status == 0
    assert GOES_ON not in said
    return loaded(folder / "weights.npz")


def loaded(path: Path) -> list[np.ndarray]:
    with np.load(path) as arrays:
        return [arrays[name] for name in arrays.files]


def assert_bit_equal(one: list[np.ndarray], other: list[np.ndarray]) -> None:
    assert [array.tobytes() for array in one] == [array.tobytes() for array in other]


@pytest.mark.slow
def test_killed_at_five_random_steps_it_ends_bit_equal(undisturbed, tmp_path: Path):
    draw = random.Random(1)
    checkpoints, out = tmp_path / "checkpoints", tmp_path / "weights.npz"
    for _ in range(5):
        assert run(checkpoints, out, str(draw.randint(3, 60)))[0] == -signal.SIGKILL
        assert not out.exists()
    status, said = run(checkpoints, out)
    assert status == 0
    assert GOES_ON in said
    assert_bit_equal(loaded(out), undisturbed)


@pytest.mark.slow
def test_killed_at_every_stage_of_writing_a_checkpoint_it_ends_bit_equal(undisturbed, tmp_path: Path):
    checkpoints, out = tmp_path / "checkpoints", tmp_path / "weights.npz"
    for stage in STAGES:
        assert run(checkpoints, out, "0", f"{stage}:1")[0] == -signal.SIGKILL, stage
    status, said = run(checkpoints, out)
    assert status == 0
    assert GOES_ON in said
    assert_bit_equal(loaded(out), undisturbed)
