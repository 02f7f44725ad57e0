"""From data on this machine to an endpoint's answer and back to nothing: the real command line, both tasks.

Between our code and the socket stands nothing; behind it S3 and the rest are moto's, and SageMaker is the fake that
really trains and serves.
"""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from amazon.aws import Aws
from amazon.desk import Desk
from opt_ml import quick
from serving.conftest import picture
from trainbox.platforms.conformance.trials import a_picture

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


@pytest.fixture
def desk(aws: Aws, tmp_path: Path) -> Desk:
    """A working folder of somebody with an AWS account."""
    return Desk(aws, tmp_path / "desk")


def manifest_of(bundle: Path) -> dict[str, Any]:
    """Read a bundle's manifest, having compared every file with it."""
    manifest = json.loads((bundle / "manifest.json").read_text())
    for name, about in manifest["files"].items():
        assert hashlib.sha256((bundle / name).read_bytes()).hexdigest() == about["sha256"], name
    return manifest


def hyperparameters(task: str) -> list[str]:
    return [word for name, value in quick(task).items() for word in ("-p", f"{name}={value}")]


def test_data_become_an_endpoint_that_answers(task_name: str, desk: Desk, demo_data: Callable[[str], Path]) -> None:
    aws, data, job = desk.aws, demo_data(task_name), f"{task_name}-1"
    where = ["--on", "sagemaker", "--instance-type", "ml.m5.xlarge", "--max-runtime", "1h"]
    told = desk.run(
        "train", task_name, str(data), *hyperparameters(task_name), *where, "--name", job, "--out", "model", "--json"
    )
    assert json.loads(told.out)["task"] == task_name
    assert aws.sagemaker.job(job).status == "Completed"
    assert manifest_of(desk.folder / "model")["job"]["name"] == job

    [created] = aws.sagemaker.asked("CreateTrainingJob")
    assert {"Key": "trainbox", "Value": task_name} in created["Tags"]
    sent = [asked.about for asked in aws.asked("PutObject", "CompleteMultipartUpload")]
    assert len(set(sent)) == len(sent), "something was sent twice"

    name = f"my-{task_name}"
    desk.run("deploy", "model", name, "--memory", "2048")
    seen = str(a_picture(data))
    remote = desk.run("predict", f"endpoint:{name}", seen, "--json")
    local = desk.run("predict", "model", seen, "--json")
    assert json.loads(remote.out) == json.loads(local.out)

    desk.run("undeploy", name)
    assert aws.sagemaker.costing == []
    assert not aws.sagemaker.models.models.documents
    assert not aws.sagemaker.models.configurations.documents
    assert not aws.sagemaker.scaling.targets


def test_a_job_is_left_and_its_model_deployed_from_where_it_lies(
    desk: Desk, demo_data: Callable[[str], Path], tmp_path: Path
) -> None:
    aws, data = desk.aws, demo_data("drive")
    where = ["--on", "sagemaker", "--instance-type", "ml.m5.xlarge", "--max-runtime", "1h", "--detach"]
    desk.run("train", "drive", str(data), *hyperparameters("drive"), *where, "--name", "left")
    assert not (desk.folder / "left").exists()
    aws.sagemaker.wait("left", 400)
    elsewhere = Desk(aws, tmp_path / "another-machine")
    assert "left" in elsewhere.run("jobs").out
    assert "epoch=" in elsewhere.run("logs", "left").out
    elsewhere.run("fetch", "left")
    assert manifest_of(elsewhere.folder / "left")["task"] == "drive"
    machines = ["--instance-type", "ml.m5.large", "--autoscale", "1:2"]
    elsewhere.run("deploy", "left", "pilot", *machines)
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for number in range(3):
        (pictures / f"{number}.jpg").write_bytes(picture(seed=number))
    assert "angle" in elsewhere.run("predict", "endpoint:pilot", str(pictures / "0.jpg"), "--json").out
    assert len(aws.sagemaker.scaling.targets) == 1
    elsewhere.run("undeploy", "pilot")
    assert aws.sagemaker.costing == []
    assert not aws.sagemaker.scaling.targets
    sent = aws.put(pictures, "pictures")
    answers = f"s3://{aws.bucket}/answers"
    elsewhere.run("predict", "left", "--batch", f"{sent}/", "--out", answers, "--instance-type", "ml.m5.large")
    assert sorted(aws.keys("answers/")) == [f"answers/{number}.jpg.out" for number in range(3)]
    assert aws.sagemaker.costing == []
