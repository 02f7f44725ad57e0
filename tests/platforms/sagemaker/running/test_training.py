"""Training at SageMaker from data to bundle: against a SageMaker that really runs the container program."""

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from amazon.aws import Aws
from trainbox.platforms.job import JobFailed, TrainingJob
from trainbox.platforms.sagemaker.asking.plan import Plan
from trainbox.platforms.sagemaker.running import training

pytestmark = pytest.mark.slow

Toy = Callable[..., TrainingJob]
Plans = Callable[..., Plan]


def test_data_go_up_and_the_bundle_comes_back(aws: Aws, plan: Plans, toy_here: Toy, tmp_path: Path) -> None:
    said: list[str] = []
    assert training.run(toy_here(), tmp_path / "out", plan=plan(), say=said.append) == tmp_path / "out"
    manifest = json.loads((tmp_path / "out/manifest.json").read_text())
    assert manifest["job"]["name"] == "toy-job"
    assert aws.sagemaker.job("toy-job").status == "Completed"
    assert any(line.startswith("Billed: ") for line in said)


def test_a_job_that_refuses_its_input_says_why(aws: Aws, plan: Plans, toy_here: Toy, tmp_path: Path) -> None:
    said: list[str] = []
    with pytest.raises(JobFailed) as failed:
        training.run(toy_here(batch_size=49), tmp_path / "out", plan=plan(), say=said.append)
    assert str(failed.value).startswith("Hyperparameter 'batch_size' is larger than the data: 49 > 48")
    assert failed.value.exit_status == 2


def test_a_spot_job_that_loses_its_machine_resumes_and_says_what_that_saved(
    aws: Aws, plan: Plans, toy_here: Toy, tmp_path: Path
) -> None:
    job = toy_here(epochs=6, linger="batch", checkpoint_seconds=0.2)
    said: list[str] = []

    def interrupt() -> None:
        # A checkpoint is whole with its .json.
        while not any(key.endswith(".json") for key in aws.keys(f"trainbox/checkpoints/{job.name}/")):
            time.sleep(0.1)
        aws.sagemaker.interrupt(job.name)

    thread = threading.Thread(target=interrupt, daemon=True)
    thread.start()
    training.run(job, tmp_path / "out", plan=plan(spot=True), say=said.append)
    thread.join()
    assert aws.sagemaker.job(job.name).interruptions == 1
    assert sum(line.startswith("Interrupted") for line in said) == 1
    assert sum(line.startswith("Training goes on from a checkpoint") for line in said) == 1
    job_at_sagemaker = aws.sagemaker.job(job.name)
    saved = 100 * (1 - job_at_sagemaker.billable_seconds / job_at_sagemaker.training_seconds)
    assert saved > 50
    assert any(line.startswith(f"Spot instances saved {saved:.0f} %") for line in said)
