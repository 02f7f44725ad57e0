"""How the tests themselves are run: slow proofs that there is no time for are left out, and say so."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

PROOF = """
import pytest

@pytest.mark.slow
def test_slow():
    pass

def test_quick():
    pass
"""


def said_of(proof: Path, until: float) -> str:
    """Return what pytest says of two tests that are run with a last moment for slow proofs to begin."""
    tests = Path(__file__).parent
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-m", "slow or not slow", "-rs", f"--rootdir={tests.parent}", proof],
        cwd=tests.parent,
        env={**os.environ, "TRAINBOX_TEST_UNTIL": str(until), "PYTEST_PLUGINS": "conftest", "PYTHONPATH": str(tests)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == pytest.ExitCode.OK, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


def test_a_slow_proof_is_begun_only_while_there_is_time(tmp_path: Path) -> None:
    proof = tmp_path / "test_proof.py"
    proof.write_text(PROOF)
    late = said_of(proof, time.time() - 60)
    assert "1 passed, 1 skipped" in late
    assert "TRAINBOX_TEST_UNTIL is over" in late and "::test_slow" in late
    assert "2 passed" in said_of(proof, time.time() + 600)
