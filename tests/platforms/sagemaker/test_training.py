"""Training at SageMaker from data to bundle: against a SageMaker that really runs the container program."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from amazon.aws import Aws
from trainbox.platforms.job import JobFailed, TrainingJob
from trainbox.platforms.sagemaker import training
from trainbox.platforms.sagemaker.plan import Plan

pytestmark = pytest.mark.slow

Toy = Callable[..., TrainingJob]
Plans = Callable[..., Plan]


def test_data_go_up_and_the_bundle_comes_back(aws: Aws, plan: Plans, toy_here: Toy, tmp_path: Path) -> None:
    said: list[str] = []
    assert training.run(toy_here(), tmp_path / "out", plan=plan(), say=said.append) == tmp_path / "out"
    print("\n".join(said))
    manifest = json.loads((tmp_path / "out/manifest.json").read_text())
    assert manifest["job"]["name"] == "toy-job"
    assert aws.sagemaker.job("toy-job").status == "Completed"
    assert any(line.startswith("Billed: ") for line in said)


def test_a_job_that_refuses_its_input_says_why(aws: Aws, plan: Plans, toy_here: Toy, tmp_path: Path) -> None:
    said: list[str] = []
    with pytest.raises(JobFailed) as failed:
        training.run(toy_here(batch_size=49), tmp_path / "out", plan=plan(), say=said.append)
    print("\n".join(said))
    assert str(failed.value).startswith("Hyperparameter 'batch_size' is larger than the data: 49 > 48")
    assert failed.value.exit_status == 2
