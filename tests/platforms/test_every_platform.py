"""What holds on every platform: the same job gets the same tree, says the same, and leaves the same or nothing."""

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from opt_ml import tree_digest
from platforms.conftest import Platform
from trainbox.errors import ChannelError, UsageError
from trainbox.platforms.job import JobFailed, TrainingJob

Toy = Callable[..., TrainingJob]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_it_trains_and_puts_the_bundle_in_place(platform: Platform, toy: Toy, tmp_path: Path) -> None:
    job, out = toy(), tmp_path / "out"
    before = tree_digest(job.channels["train"])
    out.mkdir()
    (out / "manifest.json").write_text('{"format": 1, "files": {}, "models": {}}')
    (out / "model.h5").write_text("of the earlier model")
    kept = {"logs": tmp_path / "logs"} if platform.here else {}
    assert platform.run(job, out, overwrite=True, **kept) == out
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["job"]["name"] == "toy-job"
    assert {"model.keras", "model.tflite", "report.html", "hyperparameters.json"} <= set(names(out))
    assert not (out / "model.h5").exists(), "nothing of the earlier model stays"
    assert not kept or any((tmp_path / "logs").rglob("events*"))
    assert tree_digest(job.channels["train"]) == before
    assert names(tmp_path) == ["data", *kept, "out", "site"], "nothing is left behind"


def test_a_file_is_a_channel_too_and_its_name_is_kept(platform: Platform, toy: Toy, tmp_path: Path) -> None:
    data = tmp_path / 'a, "b": c'
    data.mkdir()
    (data / "lines.toy").write_bytes((toy().channels["train"] / "lines.toy").read_bytes())
    job = TrainingJob("toy", {"train": data, "extra": data / "lines.toy"}, {"epochs": 1}, "toy-job")
    platform.run(job, tmp_path / "out")
    assert json.loads((tmp_path / "out/manifest.json").read_text())["data"]["channels"] == ["extra", "train"]


def test_it_resumes_from_checkpoints(
    platform: Platform, toy: Toy, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    if not platform.here:
        pytest.skip("its checkpoints are SageMaker's affair: tests/platforms/sagemaker/test_training.py")
    for _ in range(2):
        platform.run(toy(), tmp_path / "out", overwrite=True, checkpoints=tmp_path / "kept")
    assert capfd.readouterr().err.count("Training goes on from a checkpoint: epoch 3") == 1
    assert all(path.stat().st_uid == os.getuid() for path in (tmp_path / "kept").iterdir())


def test_a_failed_job_says_why_and_leaves_nothing(
    platform: Platform, toy: Toy, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(JobFailed) as failed:
        platform.run(toy(batch_size=49), tmp_path / "out")
    assert failed.value.exit_status == 2
    # What SageMaker says may be longer than the log's last line, so it is always said.
    assert failed.value.said == platform.here
    assert str(failed.value).startswith("Hyperparameter 'batch_size' is larger than the data: 49 > 48")
    assert names(tmp_path) == ["data", "site"]
    captured = capfd.readouterr()
    lines = [line for line in captured.err.splitlines() if not line.startswith(("Uploading:", "Failed:", "Billed:"))]
    assert lines[-1] == str(failed.value)
    assert captured.out == "", "standard output is for data"


def test_a_job_that_is_killed_is_explained(platform: Platform, toy: Toy, tmp_path: Path) -> None:
    with pytest.raises(JobFailed, match=r"was killed.*out of memory|status 137.*Memory ran out") as failed:
        platform.run(toy(exit_in="reading"), tmp_path / "out")
    assert failed.value.exit_status == 1
    assert not failed.value.said
    assert names(tmp_path) == ["data", "site"]


def test_what_cannot_run_is_refused_before_anything_is_started(platform: Platform, toy: Toy, tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken/cat.jpg").write_bytes(b"a")
    with pytest.raises(UsageError, match="exists already"):
        platform.run(toy(), tmp_path / "taken")
    with pytest.raises(ChannelError, match="does not exist"):
        platform.run(TrainingJob("toy", {"train": tmp_path / "nowhere"}), tmp_path / "out")
    assert names(tmp_path) == ["data", "site", "taken"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_the_job_ends_when_we_are_ended(platform: Platform, toy: Toy, tmp_path: Path, number: signal.Signals) -> None:
    if number == signal.SIGKILL and not platform.here:
        pytest.skip("a job at SageMaker goes on without us, until --max-runtime")
    with platform.lingering(toy().channels["train"], tmp_path / "out", "reading", 300) as process:
        found = platform.running(process)
        assert found
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
        platform.wait_until_gone(found, seconds=30)
    assert not (tmp_path / "out").exists()
    if number == signal.SIGKILL:
        return
    assert process.returncode == 1
    assert "SAYS Stopping: the best model so far is being written." in out
    assert err.splitlines()[-1] in {
        "Told to stop before there was a model to save. (1, True)",
        "The training job 'toy-job' was stopped before there was a model to save. (1, False)",
    }
    assert names(tmp_path) == ["data", "site"]


@pytest.mark.slow
def test_told_to_stop_late_it_still_brings_the_bundle(platform: Platform, toy: Toy, tmp_path: Path) -> None:
    with platform.lingering(toy().channels["train"], tmp_path / "out", "deployables", 2) as process:
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert json.loads((tmp_path / "out/manifest.json").read_text())["models"]


@pytest.mark.slow
def test_a_second_ctrl_c_ends_it_at_once(platform: Platform, toy: Toy, tmp_path: Path) -> None:
    if not platform.here:
        pytest.skip("it is SageMaker that gives the job its two minutes")
    with platform.lingering(toy().channels["train"], tmp_path / "out", "deployables", 300) as process:
        found = platform.running(process)
        for _ in range(2):
            process.send_signal(signal.SIGINT)
            time.sleep(1)
        process.communicate(timeout=30)
        platform.wait_until_gone(found, seconds=5)
    assert process.returncode == 1
    assert not (tmp_path / "out").exists()
