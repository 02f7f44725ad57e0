"""What SageMaker is asked for, without asking: names, limits, requests that botocore's own model takes."""

from dataclasses import replace
from typing import Any

import pytest

from trainbox.errors import UsageError
from trainbox.platforms.sagemaker.hosting import checks, scaling
from trainbox.platforms.sagemaker.hosting.failures import advice
from trainbox.platforms.sagemaker.hosting.request import Hosting, Instances, Serverless
from trainbox.platforms.sagemaker.hosting.transform import Batch, name_of

ROLE = "arn:aws:iam::123456789012:role/trainbox"
IMAGE = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/trainbox:1.0"
PLAIN = Hosting("pilot", "drive", IMAGE, ROLE, "eu-west-1", "s3://bucket/model.tar.gz", "0" * 64)
BATCH = Batch("pilot-1", "drive", IMAGE, ROLE, "eu-west-1", "s3://b/model.tar.gz", "s3://b/in/", "s3://b/out/")
MACHINES = Instances("ml.m5.large", 2, (1, 4), 25)


@pytest.mark.parametrize(
    "hosting",
    [
        PLAIN,
        replace(PLAIN, on=Serverless(6144, 200), kms_key="alias/mine", tags={"team": "cars"}),
        replace(PLAIN, on=MACHINES, captures="s3://bucket/captures", kms_key="alias/mine"),
        replace(PLAIN, on=Instances("ml.m5.large"), subnets=("subnet-1",), security_groups=("sg-1",)),
    ],
)
def test_requests_are_what_sagemaker_takes(hosting: Hosting) -> None:
    asked = {
        "CreateModel": hosting.model,
        "CreateEndpointConfig": hosting.configuration,
        "CreateEndpoint": hosting.endpoint,
        "UpdateEndpoint": hosting.update,
    }
    checks.refuse_malformed("sagemaker", asked)
    for operation in ("CreateModel", "CreateEndpointConfig", "CreateEndpoint"):
        tags = {tag["Key"]: tag["Value"] for tag in asked[operation]["Tags"]}
        assert tags["trainbox"] == "drive"
        assert tags["trainbox:endpoint"] == "pilot"
    with pytest.raises(Exception, match="UpdateEndpoint would be refused"):
        checks.refuse_malformed("sagemaker", {"UpdateEndpoint": {"EndpointName": 7}})


def test_the_same_has_the_same_names_and_anything_else_has_others() -> None:
    same = replace(PLAIN)
    assert same.model == PLAIN.model
    assert same.configuration == PLAIN.configuration
    others = [
        replace(PLAIN, digest="1" * 64),
        replace(PLAIN, image=f"{IMAGE}1"),
        replace(PLAIN, file="model_quantized.tflite"),
        replace(PLAIN, on=Serverless(3072)),
        replace(PLAIN, on=Instances("ml.m5.large")),
        replace(PLAIN, tags={"team": "cars"}),
        replace(PLAIN, name="pilot-2"),
    ]
    names = [one.configuration["EndpointConfigName"] for one in (PLAIN, *others)]
    assert len(set(names)) == len(names)
    # More memory needs no other model.
    assert replace(PLAIN, on=Serverless(3072)).model == PLAIN.model


def test_long_names_leave_room_for_a_digest() -> None:
    one, other = (replace(PLAIN, name=f"{'a' * 62}{letter}") for letter in "bc")
    assert len(one.model["ModelName"]) <= 63
    assert one.model["ModelName"] != other.model["ModelName"]


def test_serverless_hosting_is_given_neither_a_network_nor_captures() -> None:
    hosting = replace(PLAIN, subnets=("subnet-1",), security_groups=("sg-1",))
    assert "VpcConfig" not in hosting.model
    assert "EnableNetworkIsolation" not in hosting.model
    assert "DataCaptureConfig" not in hosting.configuration
    environment = hosting.model["PrimaryContainer"]["Environment"]
    assert environment["MODEL_SERVER_WORKERS"] == "1"
    assert environment["SAGEMAKER_REGION"] == "eu-west-1"


def test_the_container_can_be_set_so() -> None:
    from trainbox.serving.settings import Settings

    environment = PLAIN.model["PrimaryContainer"]["Environment"]
    settings = Settings.from_environment(environment)
    assert (settings.workers, settings.page, settings.largest_body) == (1, False, 4 << 20)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Serverless(memory_mb=1500), "1024, 2048, 3072, 4096, 5120, 6144 MB. Received: 1500"),
        (lambda: Serverless(concurrency=0), "1 to 200"),
        (lambda: Serverless(concurrency=201), "1 to 200"),
        (lambda: Instances("m5.large"), "one such as ml.m5.large"),
        (lambda: Instances("ml.m6g.large"), "no x86-64 machine"),
        (lambda: Instances("ml.c6gn.large"), "no x86-64 machine"),
        (lambda: Instances("ml.inf2.xlarge"), "no x86-64 machine"),
        (lambda: Instances("ml.m5.large", 0), "--instances is 1 to"),
        (lambda: Instances("ml.m5.large", 1, (3, 2)), "--autoscale is MIN:MAX"),
        (lambda: Instances("ml.m5.large", 1, (0, 2)), "--autoscale is MIN:MAX"),
        (lambda: Instances("ml.m5.large", capture_percent=101), "0 to 100 percent"),
        (lambda: replace(PLAIN, name="a_b"), "Endpoint name 'a_b' is not allowed"),
        (lambda: replace(PLAIN, name="a" * 64), "is not allowed"),
        (lambda: replace(PLAIN, name="pilot-"), "is not allowed"),
        (lambda: replace(PLAIN, role="trainbox"), "A role is arn:aws"),
        (lambda: replace(PLAIN, image="my image"), "An image is"),
        (lambda: replace(PLAIN, tags={"trainbox": "x"}), "Trainbox's own"),
        (lambda: replace(BATCH, out="s3://b/in/answers"), "lies within"),
        (lambda: replace(BATCH, largest=101 << 20), "100 MB at most"),
        (lambda: replace(BATCH, instances=0), "--instances"),
    ],
)
def test_what_sagemaker_would_refuse_is_refused_before(make: Any, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        make()


def test_g5_is_no_graviton() -> None:
    assert Instances("ml.g5.xlarge").has_gpu
    assert not Instances("ml.m5.large").has_gpu


def test_there_are_as_many_machines_at_first_as_scaling_allows() -> None:
    assert [Instances("ml.m5.large", 1, bounds).initial for bounds in (None, (2, 4), (1, 1))] == [1, 2, 1]
    assert Instances("ml.m5.large", 9, (2, 4)).initial == 4


def test_scaling_is_asked_for_as_application_auto_scaling_takes_it() -> None:
    asked = {
        "RegisterScalableTarget": scaling.target("pilot", (1, 4), "drive"),
        "PutScalingPolicy": scaling.policy("p"),
    }
    checks.refuse_malformed(scaling.SERVICE, asked)
    assert asked["RegisterScalableTarget"]["ResourceId"] == "endpoint/pilot/variant/AllTraffic"


def test_a_batch_is_asked_for_as_sagemaker_takes_it() -> None:
    checks.refuse_malformed("sagemaker", {"CreateModel": BATCH.model, "CreateTransformJob": BATCH.transform_job})
    for largest, megabytes, at_once in ((1, 6, 8), (20 << 20, 20, 5), (100 << 20, 100, 1)):
        job = replace(BATCH, largest=largest).transform_job
        assert (job["MaxPayloadInMB"], job["MaxConcurrentTransforms"]) == (megabytes, at_once)
        assert megabytes * at_once <= 100
    assert replace(BATCH, task="detect").transform_job["TransformOutput"]["Accept"] == "application/json;labels=1"


def test_a_batch_is_named_for_its_model() -> None:
    assert name_of("models/my_pilot.tar.gz").startswith("my-pilot-20")
    assert name_of("///").startswith("model-20")
    assert len(name_of("a" * 100)) <= 63


@pytest.mark.parametrize(
    ("reason", "says"),
    [
        ("Could not assume role arn:aws:iam::1:role/x", "Check the role"),
        ("Requested image 1.dkr.ecr.eu-west-1.amazonaws.com/x:y not found.", "Check --image"),
        ("The primary container for production variant AllTraffic did not pass the ping health check.", "image test"),
        ("Ping failed due to insufficient memory.", "--memory"),
        ("Unsupported manifest media type application/vnd.oci.image.index.v1+json", "Docker media types"),
        ("Unable to provision requested ML compute capacity due to InsufficientInstanceCapacity", "--instance-type"),
        ("The instance type ml.x is not supported", "--instance-type"),
        ("Failed to download model data for container", "may read the model's bucket"),
        ("The moon is full", ""),
    ],
)
def test_well_known_failures_come_with_advice(reason: str, says: str) -> None:
    assert says in advice(reason)
    assert bool(says) == bool(advice(reason))
