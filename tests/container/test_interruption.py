"""SIGTERM at any moment of a run: once or twice, what can be saved is saved."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from toy_job import ended, finished
from trainbox.container.interruption import END_WITH_STDIN, SIGNALS, Interrupted, Stop


@pytest.fixture
def stop() -> Iterator[Stop]:
    """A Stop that hears the signals of this very process, whose own handlers come back afterwards."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        yield Stop().install()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_a_signal_is_a_wish_that_is_asked_for(stop: Stop) -> None:
    assert not stop.requested
    assert stop.seconds_left == float("inf")
    os.kill(os.getpid(), signal.SIGTERM)
    os.kill(os.getpid(), signal.SIGTERM)
    os.kill(os.getpid(), signal.SIGINT)
    assert stop.requested
    assert 110 < stop.seconds_left <= 120


def test_where_nothing_can_be_saved_it_is_an_exception_that_no_skip_swallows(stop: Stop) -> None:
    with pytest.raises(Interrupted), stop.at_once():
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(60)
        except Exception:
            pytest.fail("swallowed")


def test_the_second_signal_does_not_hit_the_clean_up_after_the_first(stop: Stop) -> None:
    cleaned = []
    with pytest.raises(Interrupted), stop.at_once():
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)
            cleaned.append(True)
    assert cleaned


def test_a_signal_that_came_before_counts(stop: Stop) -> None:
    os.kill(os.getpid(), signal.SIGTERM)
    with pytest.raises(Interrupted), stop.at_once():
        pytest.fail("the block was entered")


def test_a_signal_that_someone_swallowed_counts_at_the_end(stop: Stop) -> None:
    swallows = contextlib.suppress(BaseException)  # As a callback of a library may do.
    with pytest.raises(Interrupted), stop.at_once(), swallows:
        os.kill(os.getpid(), signal.SIGTERM)


def wait_for(process: "subprocess.Popen[str]", mark: str) -> None:
    assert process.stdout
    for line in process.stdout:
        if mark in line:
            return
    process.wait()
    pytest.fail(f"ended with {process.returncode} before {mark!r}: {process.stderr.read() if process.stderr else ''}")


def stopped(toy_job, mark: str, **hyperparameters: str) -> "subprocess.CompletedProcess[str]":
    """Run until a line holds ``mark``, send SIGTERM twice, and wait for the end: no longer than SageMaker would."""
    with ended(toy_job.start(**hyperparameters)) as process:
        wait_for(process, mark)
        told = time.monotonic()
        process.send_signal(signal.SIGTERM)
        time.sleep(0.1)
        process.send_signal(signal.SIGTERM)
        result = finished(process)
    assert time.monotonic() - told < 120
    return result


def assert_nothing_saved(toy_job, process: "subprocess.CompletedProcess[str]") -> None:
    assert process.returncode == 1, process.stderr
    assert toy_job.folder.failure == "Told to stop before there was a model to save."
    assert process.stderr.splitlines()[-1] == toy_job.folder.failure
    assert not toy_job.folder.model.exists() or not list(toy_job.folder.model.iterdir())
    assert not list(toy_job.scratch.iterdir())


@pytest.mark.parametrize("stage", ["reading", pytest.param("recipe", marks=pytest.mark.slow)])
def test_while_reading_there_is_nothing_to_save(toy_job, stage: str) -> None:
    assert_nothing_saved(toy_job, stopped(toy_job, f"lingering in {stage}", linger=stage, linger_seconds="60"))


def wait_until_it_hears(process: "subprocess.Popen[str]") -> None:
    """Wait until the process catches SIGTERM: what comes before is the interpreter's start, which nobody can change."""
    status = Path(f"/proc/{process.pid}/status")
    while process.poll() is None:
        caught = next(line for line in status.read_text().splitlines() if line.startswith("SigCgt"))
        if int(caught.split()[1], 16) >> (signal.SIGTERM - 1) & 1:
            return
        time.sleep(0.005)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads in /proc what a process catches")
@pytest.mark.parametrize("seconds", [0.0, 0.2, 0.5, 1.0, 2.0])
def test_while_starting_and_importing_there_is_nothing_to_save(toy_job, seconds: float) -> None:
    with ended(toy_job.start(linger="recipe", linger_seconds="60")) as process:
        wait_until_it_hears(process)
        time.sleep(seconds)
        process.send_signal(signal.SIGTERM)
        assert_nothing_saved(toy_job, finished(process))


@pytest.mark.slow
def test_in_the_first_epoch_a_checkpoint_is_all_there_is(toy_job) -> None:
    (toy_job.folder.base / "checkpoints").mkdir(parents=True)
    process = stopped(toy_job, "lingering in batch", linger="batch", epochs="1000")
    assert process.returncode == 1
    assert toy_job.folder.failure.startswith("Told to stop before the first epoch ended: there is no model to save.")
    assert any((toy_job.folder.base / "checkpoints").iterdir())
    assert not list(toy_job.folder.model.iterdir())


@pytest.mark.slow
def test_while_training_the_best_so_far_is_saved(toy_job) -> None:
    (toy_job.folder.base / "checkpoints").mkdir(parents=True)
    process = stopped(toy_job, "epoch=2;", linger="batch", epochs="1000", adapt="true")
    assert process.returncode == 0, process.stderr
    manifest = json.loads((toy_job.folder.model / "manifest.json").read_text())
    assert manifest["adaptation"] == {}
    assert manifest["history"]["stopped"] == "interrupted"
    assert len(manifest["history"]["epochs"]) >= 2
    assert set(manifest["models"]) == {"model.keras", "model.tflite"}
    assert any((toy_job.folder.base / "checkpoints").iterdir())


@pytest.mark.parametrize(
    "stage",
    [
        "deployables",
        "adapted",
        pytest.param("scores", marks=pytest.mark.slow),
        pytest.param("report", marks=pytest.mark.slow),
    ],
)
def test_after_training_the_bundle_is_finished(toy_job, stage: str) -> None:
    process = stopped(toy_job, f"lingering in {stage}", linger=stage, adapt="true")
    assert process.returncode == 0, process.stderr
    manifest = json.loads((toy_job.folder.model / "manifest.json").read_text())
    assert all(model["proof"] for model in manifest["models"].values())
    # Nothing is begun any more for a single file.
    assert manifest["adaptation"].get("stopped", "") == {"deployables": "", "adapted": "interrupted"}.get(
        stage, "epochs"
    )
    assert not toy_job.folder.failure


def test_it_ends_when_the_program_that_started_it_is_gone(toy_job) -> None:
    toy_job.environment[END_WITH_STDIN] = "1"
    process = toy_job.start(linger="reading", linger_seconds="60")
    # Its standard input is /dev/null, whose end is at its beginning: the parent is gone already.
    assert_nothing_saved(toy_job, finished(process))


FORK = """
import os, signal, time
from trainbox.container.interruption import Stop
stop = Stop().install()
child = os.fork()
if child == 0:
    time.sleep(60)
    os._exit(0)
time.sleep(0.1)
os.kill(child, signal.SIGTERM)
print(os.WTERMSIG(os.waitpid(child, 0)[1]), stop.requested)
"""


def test_a_forked_worker_ends_at_the_signal_as_its_owner_wants() -> None:
    answer = subprocess.run([sys.executable, "-c", FORK], capture_output=True, text=True, check=True, timeout=60)
    assert answer.stdout.split() == [str(int(signal.SIGTERM)), "False"]
