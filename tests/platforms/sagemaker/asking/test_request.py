import io
import json
import re
import shlex
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore import xform_name
from botocore.validate import ParamValidator

from trainbox.container.contract import hyperparameters
from trainbox.platforms.job import TrainingJob
from trainbox.platforms.sagemaker.asking import request
from trainbox.platforms.sagemaker.asking.plan import Plan, has_own_disk
from trainbox.tasks import available, get
from trainbox.training.progress import Lines

GIVEN = {
    "region": "eu-west-1",
    "role": "arn:aws:iam::123456789012:role/trainbox",
    "image": "123456789012.dkr.ecr.eu-west-1.amazonaws.com/trainbox:train",
    "bucket": "trainbox-123456789012",
    "instance_type": "ml.c5.2xlarge",
}
EVERYTHING = {
    "instance_type": "ml.m5.xlarge",
    "volume_gb": 50,
    "subnets": ("subnet-1", "subnet-2"),
    "security_groups": ("sg-1",),
    "kms_key": "alias/trainbox",
    "tags": {"team": "cars"},
    "environment": {"TF_NUM_INTRAOP_THREADS": "4"},
}
INPUTS = {"train": "s3://trainbox-123456789012/trainbox/data/abc/", "validation": "s3://other/tub.zip"}
SHAPE = botocore.session.get_session().get_service_model("sagemaker").operation_model("CreateTrainingJob").input_shape


def asked(**changes: Any) -> dict[str, Any]:
    job = TrainingJob("drive", {name: Path() for name in INPUTS}, {"epochs": 3, "augment": ["mirror"]}, "lap-1")
    return request.training_job(job, Plan(**{**GIVEN, **changes}), INPUTS)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"spot": True, "max_runtime_seconds": 600},
        {"keep_alive_seconds": 300},
        EVERYTHING,
        {**EVERYTHING, "spot": True},
        {**EVERYTHING, "instance_type": "ml.g5.xlarge", "instances": 2},
    ],
)
def test_every_request_holds_to_the_model_of_the_service(changes: dict[str, Any]) -> None:
    made = asked(**changes)
    assert not ParamValidator().validate(made, SHAPE).generate_report()
    assert breaches(made, SHAPE) == []


def breaches(value: Any, shape: Any, where: str = "") -> list[str]:
    """Return what breaks a pattern or a length of the model: botocore itself checks neither before it sends."""
    if shape.type_name == "structure":
        return [found for name in value for found in breaches(value[name], shape.members[name], f"{where}.{name}")]
    if shape.type_name == "list":
        return _long(value, shape, where) + [found for one in value for found in breaches(one, shape.member, where)]
    if shape.type_name == "map":
        inside = [found for one in value for found in breaches(one, shape.key, where)]
        return inside + [found for name in value for found in breaches(value[name], shape.value, f"{where}.{name}")]
    if shape.type_name != "string":
        return []
    # Java's classes of characters, which tags are described by, are not known to Python.
    pattern = re.sub(r"\\p\{[LZN]\}", r"\\w", shape.metadata.get("pattern", ".*"))
    wrong = not re.fullmatch(pattern, value, re.DOTALL) or (shape.enum and value not in shape.enum)
    return [f"{where}: {value!r}"] * bool(wrong) + _long(value, shape, where)


def _long(value: Any, shape: Any, where: str) -> list[str]:
    least, most = shape.metadata.get("min", 0), shape.metadata.get("max", 1 << 30)
    return [] if least <= len(value) <= most else [f"{where} is {len(value)} long"]


def test_the_request_of_a_plain_job() -> None:
    made = asked()
    assert made["TrainingJobName"] == "lap-1"
    assert made["OutputDataConfig"] == {"S3OutputPath": "s3://trainbox-123456789012/trainbox/jobs"}
    assert made["StoppingCondition"] == {"MaxRuntimeInSeconds": 86400}
    assert made["EnableManagedSpotTraining"] is False
    assert made["Tags"] == [{"Key": "trainbox", "Value": "drive"}]
    assert [channel["ChannelName"] for channel in made["InputDataConfig"]] == ["train", "validation"]
    assert made["InputDataConfig"][1]["DataSource"]["S3DataSource"]["S3Uri"] == "s3://other/tub.zip"
    assert not {"CheckpointConfig", "VpcConfig", "Environment"} & set(made)


def test_the_container_decodes_what_was_encoded() -> None:
    assert hyperparameters.decode(asked()["HyperParameters"]) == {"task": "drive", "epochs": 3, "augment": ["mirror"]}


def test_spot_keeps_checkpoints_of_its_own_and_waits() -> None:
    made = asked(spot=True, max_runtime_seconds=600, max_wait_seconds=900)
    assert made["EnableManagedSpotTraining"] is True
    assert made["StoppingCondition"] == {"MaxRuntimeInSeconds": 600, "MaxWaitTimeInSeconds": 900}
    assert made["CheckpointConfig"] == {
        "S3Uri": "s3://trainbox-123456789012/trainbox/checkpoints/lap-1/",
        "LocalPath": "/opt/ml/checkpoints",
    }


def test_a_key_is_given_wherever_one_is_taken() -> None:
    made = asked(kms_key="alias/x")
    assert made["OutputDataConfig"]["KmsKeyId"] == made["ResourceConfig"]["VolumeKmsKeyId"] == "alias/x"
    # A machine with disks of its own encrypts them by itself, and SageMaker refuses a key for them.
    assert "VolumeKmsKeyId" not in asked(kms_key="alias/x", instance_type="ml.g5.xlarge")["ResourceConfig"]


@pytest.mark.parametrize(
    ("instance_type", "own"),
    [
        *[("ml.g4dn.xlarge", True), ("ml.g5.xlarge", True), ("ml.g6e.xlarge", True), ("ml.r5d.large", True)],
        *[("ml.m5.xlarge", False), ("ml.c7i.large", False), ("ml.p3.2xlarge", False), ("ml.c5n.xlarge", False)],
    ],
)
def test_which_machines_have_disks_of_their_own(instance_type: str, own: bool) -> None:
    assert has_own_disk(instance_type) is own


def read(line: str, task: str) -> dict[str, str]:
    """Return what SageMaker would read out of a line of the log."""
    found = {one["Name"]: re.search(one["Regex"], line) for one in request.metric_definitions(task)}
    return {name: match[1] for name, match in found.items() if match}


@pytest.mark.parametrize("task", available())
def test_metrics_are_read_from_the_lines_that_training_prints(task: str) -> None:
    said = io.StringIO()
    lines = Lines(lambda line: print(line, file=said), clock=lambda: 0.0)
    own = dict.fromkeys(get(task).logged, 0.5)
    values = {"loss": 0.1213, "val_loss": 1.5, "images_per_second": 310.02, "learning_rate": 0.00000093}
    lines.epoch(3, 21, {**values, **own})
    got = {name: float(value) for name, value in read(said.getvalue(), task).items()}
    assert got == {"epoch": 3, "step": 21, **values, **own}
    assert read("train_examples=790; validation_examples=200;", task) == {
        "train_examples": "790",
        "validation_examples": "200",
    }
    assert read("val_loss=nan; angle_loss=0.1;", task) == {}


@pytest.mark.parametrize("task", available())
def test_what_a_task_watches_is_among_its_metrics(task: str) -> None:
    assert get(task).watched in {one["Name"] for one in request.metric_definitions(task)}


@pytest.mark.parametrize("changes", [{}, {**EVERYTHING, "spot": True}, {"environment": {"NOTE": 'it\'s $(x) "y"\nz'}}])
def test_the_command_asks_for_the_same(changes: dict[str, Any]) -> None:
    made = asked(**changes)
    words = shlex.split(request.as_command(made, "eu-west-1"))
    assert words[:5] == ["aws", "sagemaker", "create-training-job", "--region", "eu-west-1"]
    assert understood(words[5:]) == made


def understood(words: list[str]) -> dict[str, Any]:
    """Return the request that the AWS command line makes of its words: options named as botocore names them."""
    names = {xform_name(name, "-"): name for name in SHAPE.members}
    told, rest = {}, list(words)
    while rest:
        option = rest.pop(0).removeprefix("--")
        if (
            option.removeprefix("no-") in names
            and SHAPE.members[names[option.removeprefix("no-")]].type_name == "boolean"
        ):
            told[names[option.removeprefix("no-")]] = not option.startswith("no-")
            continue
        text = rest.pop(0)
        told[names[option]] = text if SHAPE.members[names[option]].type_name == "string" else json.loads(text)
    return told
