"""The fake's endpoints and transform jobs: a real model behind each, asked through boto3."""

import io
import tarfile
import time
from collections.abc import Callable
from typing import Any

import pytest
from PIL import Image

from amazon.asking import refusal
from amazon.aws import Aws
from opt_ml import Trained

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


def picture() -> bytes:
    """Return a picture of the size that a pilot sees."""
    written = io.BytesIO()
    Image.new("RGB", (160, 120), (90, 120, 60)).save(written, "JPEG")
    return written.getvalue()


@pytest.fixture
def model(aws: Aws, trained: Callable[[str], Trained]) -> str:
    """Upload a real bundle as SageMaker would leave it; return its address."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz", compresslevel=1) as archive:
        archive.add(trained("drive").folder.model, ".")
    aws.client("s3").put_object(Bucket=aws.bucket, Key="model.tar.gz", Body=packed.getvalue())
    return f"s3://{aws.bucket}/model.tar.gz"


def make(aws: Aws, name: str, address: str, kind: dict[str, Any], environment: dict[str, str] | None = None) -> None:
    """Make a model and an endpoint configuration of one name."""
    sagemaker = aws.client("sagemaker")
    inside = {"Image": aws.image, "ModelDataUrl": address, "Environment": environment or {}}
    sagemaker.create_model(ModelName=name, ExecutionRoleArn=aws.role, PrimaryContainer=inside)
    variant = {"VariantName": "AllTraffic", "ModelName": name, **kind}
    sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])


def settled(aws: Aws, name: str) -> dict[str, Any]:
    """Wait until nothing goes on with an endpoint."""
    deadline = time.monotonic() + 400
    while (told := aws.client("sagemaker").describe_endpoint(EndpointName=name))["EndpointStatus"].endswith("ing"):
        assert time.monotonic() < deadline, told
        time.sleep(0.1)
    return told


def test_an_endpoint_answers_is_updated_and_goes(aws: Aws, model: str) -> None:
    sagemaker, runtime = aws.client("sagemaker"), aws.client("sagemaker-runtime")
    machines = {"InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    make(aws, "one", model, machines)
    sagemaker.create_endpoint(EndpointName="e", EndpointConfigName="one")
    assert "in-progress" in refusal(sagemaker.delete_endpoint, EndpointName="e")[1]
    assert settled(aws, "e")["EndpointStatus"] == "InService"
    asked = {"EndpointName": "e", "ContentType": "image/jpeg", "Accept": "application/json"}
    answer = runtime.invoke_endpoint(Body=picture(), CustomAttributes="trace=7", **asked)
    assert answer["InvokedProductionVariant"] == "AllTraffic"
    assert answer["CustomAttributes"] == "trace=7"
    assert b"angle" in answer["Body"].read()
    assert refusal(runtime.invoke_endpoint, Body=b"no picture", **asked)[0] == "ModelError"
    assert refusal(runtime.invoke_endpoint, Body=b"x" * 6_291_457, **asked)[0] == "ValidationError"
    make(aws, "bad", model, machines, {"MODEL_SERVER_TIMEOUT": "soon"})
    sagemaker.update_endpoint(EndpointName="e", EndpointConfigName="bad")
    assert b"angle" in runtime.invoke_endpoint(Body=picture(), **asked)["Body"].read()
    told = settled(aws, "e")
    assert (told["EndpointStatus"], told["EndpointConfigName"]) == ("InService", "one")
    assert "did not pass the ping health check" in told["FailureReason"]
    where = {
        "ServiceNamespace": "sagemaker",
        "ResourceId": "endpoint/e/variant/AllTraffic",
        "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
    }
    scaling = aws.client("application-autoscaling")
    scaling.register_scalable_target(**where, MinCapacity=1, MaxCapacity=2)
    make(aws, "two", model, {"ServerlessConfig": {"MemorySizeInMB": 2048, "MaxConcurrency": 1}})
    update = {"EndpointName": "e", "EndpointConfigName": "two"}
    assert "deregistered as a scalable target" in refusal(sagemaker.update_endpoint, **update)[1]
    scaling.deregister_scalable_target(**where)
    sagemaker.update_endpoint(**update)
    assert settled(aws, "e")["EndpointConfigName"] == "two"
    assert refusal(runtime.invoke_endpoint, Body=b"x" * (4 * 1024 * 1024 + 1), **asked)[0] == "ValidationError"
    sagemaker.delete_endpoint(EndpointName="e")
    deadline = time.monotonic() + 60
    while aws.sagemaker.costing:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert refusal(runtime.invoke_endpoint, Body=b"", **asked)[0] == "ValidationError"


def test_a_transform_job_answers_each_object(aws: Aws, model: str) -> None:
    make(aws, "one", model, {"InstanceType": "ml.m5.large", "InitialInstanceCount": 1})
    for name in ("a.jpg", "deep/b.jpg"):
        aws.client("s3").put_object(Bucket=aws.bucket, Key=f"in/{name}", Body=picture())
    source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://{aws.bucket}/in/"}}
    asked = {
        "ModelName": "one",
        "TransformInput": {"DataSource": source, "ContentType": "image/jpeg"},
        "TransformOutput": {"S3OutputPath": f"s3://{aws.bucket}/out", "Accept": "application/json"},
        "TransformResources": {"InstanceType": "ml.m5.large", "InstanceCount": 1},
    }
    sagemaker = aws.client("sagemaker")
    sagemaker.create_transform_job(TransformJobName="t-1", **asked)
    assert refusal(sagemaker.create_transform_job, TransformJobName="t-1", **asked)[0] == "ResourceInUse"
    assert aws.sagemaker.transforms.found("t-1").over.wait(400)
    told = sagemaker.describe_transform_job(TransformJobName="t-1")
    assert told["TransformJobStatus"] == "Completed", told.get("FailureReason")
    assert aws.keys("out/") == ["out/a.jpg.out", "out/deep/b.jpg.out"]
    aws.client("s3").put_object(Bucket=aws.bucket, Key="in/c.jpg", Body=b"no picture")
    sagemaker.create_transform_job(TransformJobName="t-2", **asked)
    assert aws.sagemaker.transforms.found("t-2").over.wait(400)
    told = sagemaker.describe_transform_job(TransformJobName="t-2")
    assert (told["TransformJobStatus"], told["FailureReason"].split(":")[0]) == ("Failed", "ClientError")
    listed = sagemaker.list_transform_jobs(StatusEquals="Completed")["TransformJobSummaries"]
    assert [one["TransformJobName"] for one in listed] == ["t-1"]
