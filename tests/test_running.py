"""How the tests themselves are run: slow proofs that there is no time for are left out, and say so."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

PROOF = "tests/training/test_killed.py::test_killed_at_five_random_steps_it_ends_bit_equal"


def test_a_slow_proof_is_not_begun_when_time_is_up() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-m", "slow", "-rs", PROOF],
        cwd=Path(__file__).parents[1],
        env={**os.environ, "TRAINBOX_TEST_UNTIL": str(time.time() - 60)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == pytest.ExitCode.OK, done.stdout[-2000:]
    assert "1 skipped" in done.stdout
    assert "out of time: TRAINBOX_TEST_UNTIL was 6" in done.stdout
