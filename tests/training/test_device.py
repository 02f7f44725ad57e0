import os
import subprocess
import sys
from pathlib import Path

import pytest

from trainbox.training.device import processors, use_threads

CHOOSE = """
import os, sys
from trainbox.training.device import choose
environment = dict({environment})
device = choose(environment, lambda: {sees}, {has})
assert "keras" not in sys.modules
print(device.kind, environment["KERAS_BACKEND"], device.reason, sep="|")
"""


def chosen(sees: bool | None, has: bool, **environment: str) -> list[str]:
    """Choose in a process that has not imported Keras, as the container does."""
    program = CHOOSE.format(environment=environment, sees=sees, has=has)
    return (
        subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
        .stdout.strip()
        .split("|")
    )


def test_the_cpu_where_there_is_no_gpu():
    kind, backend, reason = chosen(sees=True, has=False)
    assert (kind, backend) == ("cpu", "tensorflow")
    assert "no GPU" in reason


def test_the_gpu_where_jax_sees_one():
    kind, backend, reason = chosen(sees=True, has=True)
    assert (kind, backend) == ("gpu", "jax")
    assert "GPU" in reason


@pytest.mark.parametrize(("sees", "why"), [(None, r"trainbox[gpu]"), (False, "driver")])
def test_says_why_a_gpu_is_not_used(sees: bool | None, why: str):
    kind, backend, reason = chosen(sees=sees, has=True)
    assert (kind, backend) == ("cpu", "tensorflow")
    assert why in reason


def test_the_environment_has_the_last_word():
    assert chosen(sees=True, has=True, KERAS_BACKEND="tensorflow")[:2] == ["cpu", "tensorflow"]
    assert chosen(sees=True, has=True, KERAS_BACKEND="jax")[:2] == ["gpu", "jax"]
    assert chosen(sees=False, has=False, KERAS_BACKEND="jax")[:2] == ["cpu", "jax"]


@pytest.mark.parametrize(("quota", "most"), [("50000 100000", 1), ("100000 100000", 1), ("max 100000", None)])
def test_threads_keep_within_the_containers_quota(quota: str, most: int | None, tmp_path: Path):
    (tmp_path / "cpu.max").write_text(quota)
    assert processors(tmp_path / "cpu.max") == (most or processors(tmp_path / "missing"))
    assert processors(tmp_path / "missing") <= (os.cpu_count() or 1)


def test_threads_given_by_the_user_stay():
    environment = {"TF_NUM_INTRAOP_THREADS": "7"}
    use_threads(environment, 2)
    assert environment["TF_NUM_INTRAOP_THREADS"] == "7"
    assert environment["TF_NUM_INTEROP_THREADS"] == "2"
