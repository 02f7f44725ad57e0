import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from amazon import layers
from amazon.aws import MANIFEST, REPOSITORY, Aws
from trainbox.errors import RefusedInput
from trainbox.platforms.job import TrainingJob
from trainbox.platforms.sagemaker.asking import preflight
from trainbox.platforms.sagemaker.asking.plan import Plan
from trainbox.platforms.sagemaker.asking.stored_image import Address
from trainbox.platforms.sagemaker.aws.account import Account
from trainbox.platforms.sagemaker.aws.failures import AwsFailed, LoggedOut

OCI = "application/vnd.oci.image.manifest.v1+json"


def plan_for(aws: Aws, **changes: Any) -> Plan:
    """Return a plan whose role, bucket and image exist."""
    given = {"region": aws.region, "role": aws.role, "image": aws.image, "bucket": aws.bucket}
    return Plan(**{**given, "instance_type": "ml.m5.xlarge", **changes})


def a_job(*sources: Path | str, name: str = "lap-1") -> TrainingJob:
    """Return a job on these channels."""
    channels = {f"train-{number}": source for number, source in enumerate(sources, 1)}
    return TrainingJob("drive", channels or {"train": Path("tub")}, {"epochs": 1}, name)


def image_of(aws: Aws, tag: str, media_type: str = MANIFEST, **configuration: Any) -> str:
    """Put one more image into ECR; return its address."""
    content = json.dumps({"architecture": "amd64", "os": "linux", **configuration}).encode()
    digest = layers.put_layer(aws.client, content)
    config = {"mediaType": "application/vnd.docker.container.image.v1+json", "size": len(content), "digest": digest}
    manifest = {"schemaVersion": 2, "mediaType": media_type, "config": config, "layers": []}
    aws.client("ecr").put_image(
        repositoryName=REPOSITORY,
        imageManifest=json.dumps(manifest),
        imageManifestMediaType=media_type,
        imageTag=tag,
    )
    return f"{aws.image.rpartition(':')[0]}:{tag}"


@cache
def account() -> Account:
    """Open the account once for all tests: botocore reads its models anew for each."""
    return Account.open()


def said_of(aws: Aws, plan: Plan, job: TrainingJob | None = None) -> list[str]:
    """Check, and return what was said."""
    said: list[str] = []
    # What was found out about who asks is of this test alone.
    account().__dict__.pop("identity", None)
    preflight.check(account(), job or a_job(), plan, said.append)
    return said


def refusal_of(aws: Aws, plan: Plan, job: TrainingJob | None = None) -> str:
    """Check, and return the one line of the refusal; nothing may have been made."""
    with pytest.raises(RefusedInput) as refused:
        said_of(aws, plan, job)
    assert "\n" not in str(refused.value)
    assert not [one for one in aws.traffic if one.operation.startswith(("Create", "Put", "Upload"))]
    return str(refused.value)


def test_all_is_well_and_nothing_is_said_or_made(aws: Aws) -> None:
    assert said_of(aws, plan_for(aws, instance_type="ml.m5.xlarge")) == []
    asked = {one.operation for one in aws.traffic}
    assert {"GetRole", "BatchGetImage", "GetDownloadUrlForLayer", "ListServiceQuotas", "DescribeTrainingJob"} <= asked
    assert not [one for one in asked if one.startswith(("Create", "Put", "Delete"))]


def test_a_role_that_does_not_exist(aws: Aws) -> None:
    said = refusal_of(aws, plan_for(aws, role=f"arn:aws:iam::{aws.number}:role/nobody"))
    assert said == "The role 'nobody' does not exist. Make one: trainbox init, or give another."


def test_a_role_that_does_not_trust_sagemaker(aws: Aws) -> None:
    trust = {
        "Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}]
    }
    role = aws.client("iam").create_role(RoleName="other", AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
    assert "The role 'other' does not trust sagemaker.amazonaws.com" in refusal_of(aws, plan_for(aws, role=role))


def test_a_role_of_another_account(aws: Aws) -> None:
    said = refusal_of(aws, plan_for(aws, role="arn:aws:iam::999999999999:role/trainbox"))
    assert f"The role is of account 999999999999, and you are logged in to {aws.number}" in said


def test_a_bucket_that_does_not_exist(aws: Aws) -> None:
    assert "Bucket 'nowhere-at-all' does not exist" in refusal_of(aws, plan_for(aws, bucket="nowhere-at-all"))


def test_a_bucket_in_another_region(aws: Aws) -> None:
    aws.client("s3", "us-west-2").create_bucket(
        Bucket="far-away", CreateBucketConfiguration={"LocationConstraint": "us-west-2"}
    )
    said = refusal_of(aws, plan_for(aws, bucket="far-away"))
    assert "Bucket 'far-away' is in us-west-2, and the job in eu-west-1" in said


def test_an_image_that_is_not_there(aws: Aws) -> None:
    for image in (aws.image.replace(":1.0", ":2.0"), aws.image.replace("/trainbox", "/nothing")):
        said = refusal_of(aws, plan_for(aws, image=image))
        assert said == f"There is no image {image}. Push it with: trainbox image push"


@pytest.mark.parametrize("image", ["trainbox:train", "docker.io/library/trainbox:train", "public.ecr.aws/x/y:z"])
def test_an_image_that_is_not_in_ecr(aws: Aws, image: str) -> None:
    assert f"'{image}' is no image in Amazon ECR" in refusal_of(aws, plan_for(aws, image=image))


def test_an_image_in_another_region(aws: Aws) -> None:
    said = refusal_of(aws, plan_for(aws, image=aws.image.replace("eu-west-1", "us-west-2")))
    assert "The image is in us-west-2, and the job in eu-west-1" in said


def test_an_image_with_other_media_types(aws: Aws) -> None:
    image = image_of(aws, "oci", OCI)
    assert f"The image is of the type {OCI}, and SageMaker takes {MANIFEST}" in refusal_of(
        aws, plan_for(aws, image=image)
    )


def test_an_image_for_other_machines(aws: Aws) -> None:
    image = image_of(aws, "arm", architecture="arm64")
    assert "The image is made for linux/arm64, and SageMaker runs linux/amd64" in refusal_of(
        aws, plan_for(aws, image=image)
    )


def test_a_gpu_that_the_image_would_not_use_is_said(aws: Aws) -> None:
    assert any(
        "the image does not use GPUs" in line for line in said_of(aws, plan_for(aws, instance_type="ml.g5.xlarge"))
    )
    for_gpu = image_of(aws, "gpu", config={"Env": ["PATH=/bin", "NVIDIA_VISIBLE_DEVICES=all"]})
    assert said_of(aws, plan_for(aws, instance_type="ml.g5.xlarge", image=for_gpu)) == []


def test_an_address_is_read() -> None:
    digest = f"sha256:{'a' * 64}"
    place = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/team/trainbox"
    assert Address.parse(f"{place}@{digest}").id == {"imageDigest": digest}
    assert Address.parse(f"{place}:v1").id == {"imageTag": "v1"}
    assert Address.parse(place).id == {"imageTag": "latest"}
    assert Address.parse(f"{place}:v1").repository == "team/trainbox"


@pytest.mark.parametrize(
    ("changes", "quota"),
    [
        ({}, "ml.m5.xlarge for training job usage"),
        ({"spot": True}, "ml.m5.xlarge for spot training job usage"),
        ({"keep_alive_seconds": 60}, "ml.m5.xlarge for training warm pool usage"),
    ],
)
def test_a_quota_of_0(aws: Aws, changes: dict[str, Any], quota: str) -> None:
    aws.sagemaker.house.quotas[quota] = 0
    said = refusal_of(aws, plan_for(aws, **changes))
    assert f"The quota '{quota}' is 0 in eu-west-1, and the job needs 1. Ask for more in the console" in said


def test_a_machine_that_there_is_not(aws: Aws) -> None:
    said = refusal_of(aws, plan_for(aws, instance_type="ml.m5.xxlarge"))
    assert "SageMaker has no 'ml.m5.xxlarge for training job usage' in eu-west-1" in said
    assert "such as ml.m5." in said


def test_a_name_that_is_taken(aws: Aws) -> None:
    from trainbox.platforms.sagemaker.asking.request import training_job

    address = aws.put(Path(__file__).parent, "tub")
    job, plan = a_job(address), plan_for(aws)
    # It never comes to training: that it was begun is enough.
    aws.sagemaker.house.pause_seconds = 600
    aws.client("sagemaker").create_training_job(**training_job(job, plan, {"train-1": address}))
    with pytest.raises(RefusedInput, match="There is a training job 'lap-1' already"):
        said_of(aws, plan, job)


def test_channels_in_s3(aws: Aws) -> None:
    put = aws.client("s3").put_object
    for key in ("tub/manifest.json", "tub-2/manifest.json", "laps.zip", "laps.zip.old"):
        put(Bucket=aws.bucket, Key=key, Body=b"x")
    assert said_of(aws, plan_for(aws), a_job(f"s3://{aws.bucket}/tub/", f"s3://{aws.bucket}/tub-2")) == []
    said = refusal_of(aws, plan_for(aws), a_job(f"s3://{aws.bucket}/nothing/"))
    assert f"Channel 'train-1' is empty: there is nothing at s3://{aws.bucket}/nothing/" in said
    for address, other in (("tub", "tub-2/manifest.json"), ("laps.zip", "laps.zip.old")):
        said = refusal_of(aws, plan_for(aws), a_job(f"s3://{aws.bucket}/{address}"))
        assert f"SageMaker would fetch s3://{aws.bucket}/{other} too" in said


@pytest.mark.parametrize(
    ("operation", "what"),
    [("GetRole", "the role"), ("BatchGetImage", "the image"), ("ListServiceQuotas", "the quotas")],
)
def test_what_one_may_not_look_at_is_said_and_not_held_against_the_job(aws: Aws, operation: str, what: str) -> None:
    code = "AccessDenied" if operation == "GetRole" else "AccessDeniedException"
    aws.faults.fail(operation, code, 1, "no", 403 if operation == "GetRole" else 400)
    assert said_of(aws, plan_for(aws)) == [f"Not checked: {what}, which you may not look at ({code})."]


def test_without_credentials_it_is_one_line(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(LoggedOut, match="no AWS credentials were found"):
        preflight.check(aws.account(), a_job(), plan_for(aws), print)


def test_what_aws_fails_to_answer_is_not_taken_for_a_yes(aws: Aws) -> None:
    aws.faults.fail("BatchGetImage", "InvalidParameterException", 1, "broken", 400)
    with pytest.raises(AwsFailed, match="Cannot look at the image"):
        said_of(aws, plan_for(aws))
