"""What the tests of the fake share: the toy task in containers, and a request for a training job."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from amazon.aws import Aws
from toy_task import register, write_data


@pytest.fixture
def toy_request(aws: Aws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    """Install the toy task for containers, upload its data, and return a maker of CreateTrainingJob's requests."""
    given = list(filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep)))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([register(tmp_path / "site"), *given]))
    address = aws.put(write_data(tmp_path / "data"), "toy/train")

    def request(name: str = "toy-1", hyperparameters: dict[str, str] | None = None, **further: Any) -> dict[str, Any]:
        return {
            "TrainingJobName": name,
            "RoleArn": aws.role,
            "AlgorithmSpecification": {"TrainingImage": aws.image, "TrainingInputMode": "File"},
            "HyperParameters": {"task": "toy", "epochs": "2", **(hyperparameters or {})},
            "InputDataConfig": [
                {
                    "ChannelName": "train",
                    "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": address}},
                }
            ],
            "OutputDataConfig": {"S3OutputPath": f"s3://{aws.bucket}/jobs"},
            "ResourceConfig": {"InstanceType": "ml.m5.xlarge", "InstanceCount": 1, "VolumeSizeInGB": 10},
            "StoppingCondition": {"MaxRuntimeInSeconds": 600},
            **further,
        }

    return request
