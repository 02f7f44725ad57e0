"""What SageMaker is asked for: a training job as the request of its API, and as the command that asks the same.

Nothing here talks to AWS: the same job and plan give the same request, always.
"""

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from trainbox import tasks
from trainbox.platforms.folder import CHECKPOINTS
from trainbox.platforms.job import TrainingJob
from trainbox.platforms.sagemaker.asking.plan import Plan, has_own_disk
from trainbox.platforms.sagemaker.aws.names import OUR_TAG

COUNTS = ("train_examples", "validation_examples")
OF_AN_EPOCH = ("epoch", "step", "loss", "val_loss", "learning_rate", "images_per_second")
"""Names of the values in the lines that every training logs; a task's own are added to them."""


def training_job(job: TrainingJob, plan: Plan, inputs: Mapping[str, str]) -> dict[str, Any]:
    """Return the request of CreateTrainingJob; ``inputs`` are the s3:// addresses of the job's channels."""
    encryption = {"KmsKeyId": plan.kms_key} if plan.kms_key else {}
    request: dict[str, Any] = {
        "TrainingJobName": job.name,
        "RoleArn": plan.role,
        "AlgorithmSpecification": algorithm(job.task, plan),
        "HyperParameters": job.encoded,
        "InputDataConfig": channels(inputs),
        "OutputDataConfig": {"S3OutputPath": plan.output, **encryption},
        "ResourceConfig": resources(plan),
        "StoppingCondition": stopping(plan),
        "EnableManagedSpotTraining": plan.spot,
        "Tags": tags(plan.tags, job.task),
    }
    if plan.spot:
        request["CheckpointConfig"] = {"S3Uri": plan.checkpoints(job.name), "LocalPath": CHECKPOINTS}
    if plan.subnets:
        request["VpcConfig"] = {"Subnets": list(plan.subnets), "SecurityGroupIds": list(plan.security_groups)}
    if plan.environment:
        request["Environment"] = dict(plan.environment)
    return request


def algorithm(task: str, plan: Plan) -> dict[str, Any]:
    """Return the AlgorithmSpecification: the image, how it is given its data, and what to read in its log."""
    return {
        "TrainingImage": plan.image,
        "TrainingInputMode": "File",
        "MetricDefinitions": metric_definitions(task),
    }


def metric_definitions(task: str) -> list[dict[str, str]]:
    """Return the MetricDefinitions of a task: they find the ``name=value;`` of ``trainbox.training.progress``."""
    chosen = tasks.get(task)
    names = (*COUNTS, *OF_AN_EPOCH, *chosen.logged, *chosen.measures)
    # Without the boundary, what says "loss" would find it in "val_loss" too.
    return [{"Name": name, "Regex": rf"\b{re.escape(name)}=(-?[0-9.]+);"} for name in names]


def channels(inputs: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the InputDataConfig: each channel whole, on every machine."""
    return [
        {
            "ChannelName": name,
            "DataSource": {
                "S3DataSource": {
                    "S3DataType": "S3Prefix",
                    "S3Uri": address,
                    "S3DataDistributionType": "FullyReplicated",
                }
            },
            "CompressionType": "None",
            "RecordWrapperType": "None",
            "InputMode": "File",
        }
        for name, address in inputs.items()
    ]


def resources(plan: Plan) -> dict[str, Any]:
    """Return the ResourceConfig."""
    chosen: dict[str, Any] = {
        "InstanceType": plan.instance_type,
        "InstanceCount": plan.instances,
        "VolumeSizeInGB": plan.volume_gb,
    }
    if plan.kms_key and not has_own_disk(plan.instance_type):
        chosen["VolumeKmsKeyId"] = plan.kms_key
    if plan.keep_alive_seconds:
        chosen["KeepAlivePeriodInSeconds"] = plan.keep_alive_seconds
    return chosen


def stopping(plan: Plan) -> dict[str, int]:
    """Return the StoppingCondition."""
    limit = {"MaxRuntimeInSeconds": plan.max_runtime_seconds}
    return {**limit, "MaxWaitTimeInSeconds": plan.wait_seconds} if plan.spot else limit


def tags(given: Mapping[str, str], what: str) -> list[dict[str, str]]:
    """Return a user's tags and ours: ``what`` is the task, or the kind of thing that is made."""
    return [{"Key": key, "Value": value} for key, value in {**given, OUR_TAG: what}.items()]


def as_command(request: Mapping[str, Any], region: str, operation: str = "create-training-job") -> str:
    """Return the command of the AWS command line that asks the same, quoted for a shell."""
    words = ["aws", "sagemaker", operation, "--region", region]
    for name, value in request.items():
        words += _option(re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", name).lower(), value)
    return shlex.join(words)


def _option(name: str, value: Any) -> Sequence[str]:
    if isinstance(value, bool):
        return [f"--{name}" if value else f"--no-{name}"]
    return [f"--{name}", value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))]
